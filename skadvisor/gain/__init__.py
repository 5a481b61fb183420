"""What a template can win: the claim, the ceiling and an honest estimate."""

from skadvisor.gain.assessment import Assessment, assess, reassess
from skadvisor.gain.capture_check import check_capture

__all__ = ["Assessment", "assess", "check_capture", "reassess"]
