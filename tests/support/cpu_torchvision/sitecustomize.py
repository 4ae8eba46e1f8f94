"""Has processes that tests start mend torchvision too. Python imports this when it starts."""

import mend_torchvision  # noqa: F401
