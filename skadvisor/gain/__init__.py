"""What a template can win: the claim, the ceiling and an honest estimate."""

from skadvisor.gain.assessment import Assessment, assess, reassess
from skadvisor.gain.capture_check import check_capture
from skadvisor.gain.claim import published_claim
from skadvisor.gain.interface import Situation

__all__ = ["Assessment", "Situation", "assess", "check_capture", "published_claim", "reassess"]
