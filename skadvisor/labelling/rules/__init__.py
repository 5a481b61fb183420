"""The labeller's rules: what a kernel's shapes, core and neighbours say about its state, each rule with its reason.

Importing the rooms registers their rules, in the order of this list.
"""

from skadvisor.labelling.rules import shapes as shapes  # isort: skip
from skadvisor.labelling.rules import norms as norms  # isort: skip
from skadvisor.labelling.rules import sub_blocks as sub_blocks  # isort: skip
from skadvisor.labelling.rules import heads as heads  # isort: skip
from skadvisor.labelling.rules.votes import RULES, Chain, Rule, Votes, chain_votes, class_votes

__all__ = ["RULES", "Chain", "Rule", "Votes", "chain_votes", "class_votes"]
