"""What the command line programs have in common.

Here live yes/no options, a parser whose complaints are one line, the wording of errors, and the
frame of programs that run until they are told to stop.

The room knows no CoAP but its errors; what a program does is the program's.

RFC 7252 has nothing on this; exit codes 0, 1 and 2 are those of POSIX utilities.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, NoReturn

from ..error import Error, HelpfulError
from ..error import TimeoutError as NoAnswer
from .prettyprint import one_line

__all__ = [
    "ActionNoYes",
    "AsyncCLIDaemon",
    "Parser",
    "UsageError",
    "error_line",
    "give_up_stream",
    "say",
]


def say(text: str) -> None:
    """Write a line to standard error, if that is open and takes it.

    Args:
        text: The line; what a terminal would act on has to be out of it.
    """
    if sys.stderr is None:
        return
    try:
        print(text, file=sys.stderr, flush=True)
    except OSError:
        # Nobody can be told.
        give_up_stream(2)


def give_up_stream(number: int) -> None:
    """Let what is still to be written to a standard stream go nowhere.

    Python would try again when it exits, and complain in lines and an exit code of its own.

    Args:
        number: 1 for standard output, 2 for standard error.
    """
    os.dup2(os.open(os.devnull, os.O_WRONLY), number)


class UsageError(Exception):
    """What the user asked for can not be done; the text names it, and nothing was sent."""


class ActionNoYes(argparse.Action):
    """An option that is there twice: ``--thing`` for yes, ``--no-thing`` for no.

    Args:
        option_strings: The one option, in its positive form.
        dest: Attribute that becomes True or False.
        default: Value where neither is given; often None, for "it depends".
        required: Whether one of them must be given.
        help: Text for the two together.

    Raises:
        ValueError: It is not one long option.
    """

    def __init__(
        self,
        option_strings: Sequence[str],
        dest: str,
        default: Any = True,
        required: bool = False,
        help: str | None = None,
    ) -> None:
        if len(option_strings) != 1 or not option_strings[0].startswith("--"):
            raise ValueError("a yes/no option has exactly one name, and that begins with --")
        both = [option_strings[0], "--no-" + option_strings[0][2:]]
        super().__init__(both, dest, nargs=0, default=default, required=required, help=help)

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        """Note which of the two was given."""
        setattr(namespace, self.dest, option_string == self.option_strings[0])


class Parser(argparse.ArgumentParser):
    """An argument parser that complains in one line."""

    def error(self, message: str) -> NoReturn:
        """Name what is wrong on the standard error stream, and exit with 2."""
        say(f"{self.prog}: {one_line(message)} (--help lists the options)")
        self.exit(2)

    def exit(self, status: int = 0, message: str | None = None) -> NoReturn:
        """Exit, when what was printed has gone out.

        Args:
            status: Exit code; 1 where it could not go out.  That somebody wanted no more of it
                (``--help | head``) is no error.
            message: What to say on the standard error stream before.

        Raises:
            SystemExit: Always.
        """
        if message:
            say(message.rstrip("\n"))
        try:
            if sys.stdout is not None:
                sys.stdout.flush()
        except OSError as problem:
            give_up_stream(1)
            if not isinstance(problem, BrokenPipeError):
                say(f"{self.prog}: {error_line(problem)}")
                status = status or 1
        sys.exit(status)


def error_line(problem: BaseException, hints: Mapping[str, object] = {}) -> str:
    """Put an error into one line: what went wrong and, where it is known, what to try.

    Args:
        problem: Any exception.
        hints: Facts for :meth:`aiocoap.error.HelpfulError.extra_help`.

    Returns:
        Text without control characters, whoever it comes from.
    """
    if isinstance(problem, OSError) and problem.strerror:
        name = "" if problem.filename is None else f"{problem.filename}: "
        text = f"{name}{problem.strerror}"
    elif isinstance(problem, Error) and not problem.args and problem.__cause__ is not None:
        text = str(problem.__cause__)
    elif isinstance(problem, NoAnswer) and not problem.args:
        text = "no answer"
    else:
        text = str(problem) or type(problem).__name__
    advice = problem.extra_help(hints) if isinstance(problem, HelpfulError) else None
    if advice:
        text = f"{text.rstrip('.')}. {advice}"
    return one_line(text)


class AsyncCLIDaemon:
    """Frame of a program that starts something and then waits to be stopped (stable).

    A subclass implements :meth:`start`, which returns when everything is up, and
    :meth:`shutdown`; its ``sync_main`` is the program.  SIGINT and SIGTERM stop it, and are
    a success.  The second one does not wait for the shutdown any more.

    Args:
        args: Handed to :meth:`start`.
        kwargs: Handed to :meth:`start`.

    Raises:
        RuntimeError: There is no running event loop.
    """

    program: str | None = None
    """What the program calls itself when it complains; None for the name that it was called by."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.__arguments = args, kwargs
        self.__exitcode: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    async def start(self, *args: Any, **kwargs: Any) -> None:
        """Bring the program up; to be implemented.

        What it opened before it fails or is cancelled, it closes itself.

        Args:
            args: The constructor's.
            kwargs: The constructor's.

        Raises:
            UsageError: The arguments can not be used: the program ends with 2.
            Error: The program ends with 1; OSError likewise.
        """
        raise NotImplementedError

    async def shutdown(self) -> None:
        """Clean up what :meth:`start` brought up; there is nothing to do by default."""

    def stop(self, exitcode: int) -> None:
        """Have the program shut down and exit; only the first call counts.

        Args:
            exitcode: Exit code of the program.
        """
        if not self.__exitcode.done():
            self.__exitcode.set_result(exitcode)

    @classmethod
    def sync_main(cls, *args: Any, **kwargs: Any) -> NoReturn:
        """Run the program to its end, and exit.

        Args:
            args: Handed to :meth:`start`.
            kwargs: Handed to :meth:`start`.

        Raises:
            SystemExit: Always.
        """
        try:
            exitcode = asyncio.run(cls._main(*args, **kwargs))
        except KeyboardInterrupt:
            exitcode = 130
        sys.exit(exitcode)

    @classmethod
    async def _main(cls, *args: Any, **kwargs: Any) -> int:
        self = cls(*args, **kwargs)
        loop = asyncio.get_running_loop()
        signals = (signal.SIGINT, signal.SIGTERM)

        def on_signal() -> None:
            for number in signals:
                loop.remove_signal_handler(number)
            self.stop(0)

        for number in signals:
            # Not every platform and thread can have them; Ctrl-C works there without.
            with suppress(NotImplementedError, RuntimeError, ValueError):
                loop.add_signal_handler(number, on_signal)
        starting = loop.create_task(self.__start(), name="start")
        either: list[asyncio.Future[Any]] = [starting, self.__exitcode]
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        if not starting.done():
            starting.cancel()
            with suppress(asyncio.CancelledError):
                await starting
            return self.__exitcode.result()
        failed = starting.result()
        if failed is not None:
            return failed
        try:
            return await self.__exitcode
        finally:
            await self.shutdown()

    async def __start(self) -> int | None:
        """Start; return the exit code where that failed in a foreseen way."""
        args, kwargs = self.__arguments
        try:
            await self.start(*args, **kwargs)
        except SystemExit as leaving:
            # An argument parser's; it must not tear the event loop apart from within a task.
            return leaving.code if isinstance(leaving.code, int) else int(bool(leaving.code))
        except (UsageError, Error, OSError) as problem:
            program = self.program or sys.argv[0].rpartition("/")[2]
            say(f"{program}: {error_line(problem)}")
            return 2 if isinstance(problem, UsageError) else 1
        return None
