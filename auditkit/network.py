"""The network is used only when asked for."""

from __future__ import annotations

import os

_OFFLINE = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_DATASETS_OFFLINE", "HF_EVALUATE_OFFLINE")


def settle_network(*, online: bool) -> None:
    """Tell the Hugging Face libraries, before they are imported, whether they may use the network.

    They read these variables once, at import. No telemetry either way.
    """
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    os.environ.setdefault("HF_UPDATE_DOWNLOAD_COUNTS", "false")
    os.environ.setdefault("DO_NOT_TRACK", "1")
    # Kernels are compiled code fetched from the hub.
    os.environ["USE_HUB_KERNELS"] = "NO"
    if not online:
        for name in _OFFLINE:
            os.environ[name] = "1"
