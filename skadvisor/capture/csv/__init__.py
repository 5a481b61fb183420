"""Tables of operators: kernel_details.csv and op_summary_*.csv."""
