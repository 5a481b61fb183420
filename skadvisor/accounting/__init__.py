"""Time to the nanosecond: busy, exposed and idle by region, layer and step, and the step that stands for the others."""
