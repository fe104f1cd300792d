"""What every peer does: a tool with an effect that dies once, and the words around it.

A peer is a program ``PEER.py DO FOLDER URL``. DO is one of

- ``run``: one prompt, in a process that dies inside the tool;
- ``resume``: go on in the way that the peer's documentation tells;
- ``long``: a conversation of 50 prompts, all in one session;
- ``read``: ``show`` the session.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

DO, FOLDER, URL = sys.argv[1], Path(sys.argv[2]), sys.argv[3]
PROMPT = "Send Ann her invoice. " + "She has been waiting for it for quite a while now. " * 9
SYSTEM = "You look after invoices."
TURNS = 50
RECEIPT = "Invoice sent. " + "Everything that the mail server had to say about it is here. " * 29


def show(messages: list[object]) -> None:
    """Print how many messages there are, and how many results of the tool are as it gave them."""
    print("messages:", len(messages))
    print("results:", sum(RECEIPT in str(message) for message in messages))


def send_invoice(to: str) -> str:
    """Send an invoice. The effect is a line in a file; DIE says where this process ends."""
    die = os.environ.get("DIE")
    if die == "before":
        os.kill(os.getpid(), signal.SIGKILL)
    with (FOLDER / "effects").open("a") as effects:
        effects.write(f"sent to {to}\n")
    if die == "after":
        os.kill(os.getpid(), signal.SIGKILL)
    return RECEIPT
