"""What a template and a run's values become, proven by the shells that read it."""

import functools
import json
import os
import shlex
import shutil
import subprocess
import tempfile

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from aexp.errors import RunnerCommandError
from aexp.execution.render import placeholders, render_runner_command

JOB = "0123456789abcdef" * 2
SHELLS = sorted({path for name in ("sh", "dash", "bash") if (path := shutil.which(name))})
# Not a command but a redirection: a substitution that prints it as words makes no file.
ATTACKS = [
    "$(>PWN)",
    "`>PWN`",
    "';>PWN;'",
    '";>PWN;"',
    "\n>PWN\n",
    "; >PWN",
    "}; >PWN;",
    "); >PWN; (",
    "))\n>PWN\n",
    "a[$(>PWN)]",
    "\nEOF\n>PWN\n",
    "' \" ` ) } ; >PWN #",
    "it's $(>PWN) it's",
    "\\$(>PWN)",
    "\\'; >PWN; \\'",
    "# it's\n>PWN\n'",
]
ODD = [
    "", " ", "a b", "it's", '"', "\\", "$HOME", "${HOME}", "*", "~", "-n", "--", "!!", "#", "a,b",
    "1..3", "1", "x=1", "[a]", "tab\there", "line\n", "\r\n", "\x7f", "имя", "🙂", "EOF", "%s", "=",
]  # fmt: skip
VALUES = (
    st.sampled_from(ATTACKS + ODD)
    | st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12)
    | st.text("'\"`$\\(){}\n #;&|<>*?~!=-,.ab1", max_size=12)
)
ENVIRONMENT = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", "X": "env", "HOME": "/nowhere"}


def render(template, **sp):
    return render_runner_command(template, sp, JOB)


def run(shell, command):
    """Return what a command prints and the files it made, in a folder of its own."""
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [shell, "-c", command],
            cwd=folder,
            env=ENVIRONMENT,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=60,
        )
        return done.stdout.decode(errors="surrogateescape"), os.listdir(folder)


def refusal(template, **sp):
    with pytest.raises(RunnerCommandError) as caught:
        render(template, **sp)
    return caught.value


class TestPlaceholders:
    def test_ordinary_values_are_inserted_as_they_are(self):
        command = render(
            "python train.py --condition {condition} --seed {seed} --lr {lr} {path} {job_id}",
            condition="full", seed=0, lr=1e-05, path="data/a-b_c.txt",
        )  # fmt: skip
        assert command == (
            f"python train.py --condition full --seed 0 --lr 1e-05 data/a-b_c.txt {JOB}"
        )

    @pytest.mark.parametrize("value", [None, True, 0.1, float("nan"), [1, "a"], {"a": None}, "a b"])
    def test_a_value_is_its_python_text_quoted(self, value):
        assert render("x {v}", v=value) == f"x {shlex.quote(str(value))}"

    def test_variables_unknown_words_and_escapes_stay(self):
        template = "echo ${seed} $${seed} {unknown} {a,b} {{}} {} \\{seed} {seed!r} ${seed!raw}"
        assert render(template, seed=5) == template

    def test_double_braces_are_no_escape(self):
        assert render("x {{seed}}", seed=5) == "x {5}"

    def test_keys_in_any_script(self):
        assert render("x {имя} {größe!raw}", имя=1, größe="a b") == "x 1 a b"

    def test_raw_is_raw_everywhere(self):
        assert render("{a!raw} '{a!raw}' $({a!raw})", a="$(x) 'y'") == (
            "$(x) 'y' '$(x) 'y'' $($(x) 'y')"
        )

    def test_the_names_of_a_template(self):
        template = "a {b} ${c} {d!raw} {sp_json} {job_id} {b} '{имя}' {1x} {x y} \\{z}"
        assert placeholders(template) == ["b", "d", "sp_json", "job_id", "имя"]


class TestJson:
    SP = {"note": 'it\'s "$(>PWN)" `x` \\ ü', "seed": 0, "tools": ["a", "b"], "lr": 0.1}  # noqa: RUF012

    @pytest.mark.parametrize("shell", SHELLS)
    @pytest.mark.parametrize("template", ["'{sp_json}'", "{sp_json}", "{sp_json_shell}"])
    def test_the_command_gets_the_whole_state_point(self, shell, template):
        command = render(f"printf %s {template}", **self.SP)
        printed, files = run(shell, command)
        assert json.loads(printed) == self.SP
        assert files == []

    def test_it_is_compact_sorted_ascii_without_apostrophes(self):
        command = render("'{sp_json}'", b="it's ü", a=[1, 2])
        assert command == """'{"a":[1,2],"b":"it\\u0027s \\u00fc"}'"""

    def test_non_finite_numbers_do_not_break_it(self):
        assert render("'{sp_json}'", a=float("inf")) == """'{"a":Infinity}'"""

    @pytest.mark.parametrize(
        "template",
        ['"{sp_json}"', '"{sp_json_shell}"', "'{sp_json_shell}'", "`x {sp_json}`", "$'{sp_json}'",
         "cat <<EOF\n{sp_json}\nEOF", "${X:-{sp_json}}", "# {sp_json}",
         """bash -c "x '{sp_json}'" """, """"$(x '{sp_json}')" """],
    )  # fmt: skip
    def test_where_json_would_be_misread_it_is_refused(self, template):
        error = refusal(template, a=1)
        assert "AEXP_STATEPOINT_PATH" in (error.hint or "")

    def test_keys_that_json_cannot_sort_are_a_clean_error(self):
        with pytest.raises(RunnerCommandError, match="JSON"):
            render_runner_command("{sp_json}", {"a": {1: 2, "b": 3}}, JOB)


class TestContexts:
    @pytest.mark.parametrize(
        "template",
        [
            "'{v}'", '"{v}"', "`x {v}`", "${X:-{v}}", '"${X:-{v}}"', "$'{v}'", "# {v}",
            "cat <<EOF\n{v}\nEOF", "cat <<'EOF'\n{v}\nEOF", "cat <<-EOF; echo {v}\nEOF",
            "cat <<< {v}", "$((1 + {v}))", "((x = {v}))", "$[{v}]", '"$(x {v})"',
            """"$(x '{v}')" """,
            '"`x {v}`"', "eval x {v}", "[[ {v} -eq 1 ]]", "let x={v}", "declare -i x={v}",
            "x $'\\'' {v}", "${X:-'}'} {v}", "$(case a in a) x {v};; esac)", "a\\\nb {v}",
        ],
    )  # fmt: skip
    def test_values_that_need_quotes_are_refused_with_advice(self, template):
        error = refusal(template, v="it's $(x)")
        assert error.message.startswith("{v} stands in ")
        assert "{v!raw}" in (error.hint or "")
        assert "AEXP_STATEPOINT_PATH" in (error.hint or "")

    @pytest.mark.parametrize(
        "template",
        [
            "x '{v}'", 'x "{v}"', "x `y {v}`", "x ${X:-{v}}", "x # {v}", "cat <<EOF\n{v}\nEOF",
            "echo $(( {v} ))", '"$(x {v})"', "eval x {v}",
        ],
    )  # fmt: skip
    def test_harmless_values_are_let_in_unchanged(self, template):
        assert render(template, v=7) == template.replace("{v}", "7")

    @pytest.mark.parametrize(
        "template",
        [
            "x {v}", "x $(y {v})", "(x {v})", "{ x {v}; }", "f() { x {v}; }; f", "x \\' {v}",
            'x "it\'s" {v}', "x 'a' \"b\" `c` {v}", 'cd "$(dirname "$0")" && x {v}',
            "# it's\nx {v}", "x ${X} \"${X:-$HOME/a}\" {v}", "x a#'b' {v}", "x $# ${#X} {v}",
            "x \\\n  --v {v}", "case a in a) x {v};; esac", "x $((1 + (2))) {v}", "x $'a' {v}",
            'x "\\"" {v}', "x > {v} 2>&1", "A={v} x", "x 'it'\\''s' {v}",
        ],
    )  # fmt: skip
    def test_plain_text_is_recognized_around_other_quotes(self, template):
        quoted = shlex.quote("it's $(x)")
        assert render(template, v="it's $(x)") == template.replace("{v}", quoted)

    def test_nothing_inside_quotes_is_an_empty_value(self):
        assert render("x '{v}' \"a{v}b\" {v}", v="") == "x '' \"ab\" ''"
        assert refusal("`x {v}`", v="")

    def test_arithmetic_takes_numbers_only(self):
        """Bash evaluates a name in arithmetic, and what that variable holds."""
        assert render("echo $(( {n} * 2 ))", n=-3) == "echo $(( -3 * 2 ))"
        assert refusal("echo $(( {n} * 2 ))", n="HOME")

    @pytest.mark.parametrize("shell", SHELLS)
    @pytest.mark.parametrize(
        ("template", "value", "printed"),
        [
            ("printf %s $X{v}", "abc", "envabc"),
            ("printf %s {v}>out; cat out", "2", "2"),
            ("printf %s {{v}}", "a,b", "{a,b}"),
            ("printf %s {{v}}", "1..3", "{1..3}"),
            ("printf %s '{{v}}'", "a,b", "{a,b}"),
        ],
    )
    def test_neighbours_do_not_change_a_harmless_value(self, shell, template, value, printed):
        assert run(shell, render(template, v=value))[0] == printed

    def test_neighbours_that_would_are_refused_inside_quotes(self):
        assert refusal('x "$HOME{v}"', v="abc")
        assert render('x "${HOME}{v}"', v="abc") == 'x "${HOME}abc"'

    def test_a_value_cannot_end_a_here_document(self):
        assert refusal("cat <<EOF\n{v}\nrm x\nEOF", v="EOF")

    def test_quotes_in_a_raw_value_make_what_follows_uncertain(self):
        assert render("{a!raw} {b}", a="-x 1", b="it's") == "-x 1 " + shlex.quote("it's")
        assert refusal("{a!raw} {b}", a="'", b="; >PWN")

    def test_what_no_command_can_hold_is_refused(self):
        for template, value in (("x {v}", "a\0b"), ("x {v!raw}", "\0"), ("x\0 {v}", "a")):
            assert "NUL" in refusal(template, v=value).message
        assert "UTF-8" in refusal("x {v}", v="\ud800").message
        assert "digits" in refusal("x {v}", v=10**5000).message

    def test_messages_are_short_and_printable(self):
        error = refusal("x '{v}'", v="\x1b[2J" + "x" * 10_000)
        assert error.message.isprintable()
        assert len(error.message) < 300


@functools.cache
def arguments_of(shell, command):
    printed, files = run(shell, command)
    return printed.split("\0")[:-1], files


class TestShells:
    """The proof: real shells read back exactly what was given."""

    @settings(max_examples=200, deadline=None)
    @given(VALUES, VALUES)
    @example("-e", "\n")
    def test_plain_values_arrive_exactly(self, first, second):
        command = render(
            "printf '%s\\0' {a} --b={b} $(printf %s '' ; true)x{b}{a}y; (printf '%s\\0' {a}) "
            "# it's a comment\nX={b}; printf '%s\\0' \"$X\"",
            a=first, b=second,
        )  # fmt: skip
        expected = [first, f"--b={second}", f"x{second}{first}y", first, second]
        for shell in SHELLS:
            assert arguments_of(shell, command) == (expected, [])

    @settings(max_examples=200, deadline=None)
    @given(
        VALUES,
        st.sampled_from(
            [
                ("printf '%s\\0' '<{v}>'", "<{v}>"),
                ("printf '%s\\0' \"<{v}>\"", "<{v}>"),
                ("printf '%s\\0' `printf '<%s>' {v}`", "<{v}>"),
                ("printf '%s\\0' ${NONE:-<{v}>}", "<{v}>"),
                ("printf '%s\\0' \"${NONE:-<{v}>}\"", "<{v}>"),
                ("printf '%s\\0' \"$(printf '<%s>' {v})\"", "<{v}>"),
                ("printf '%s\\0' \"$(printf '<%s>' \"{v}\")\"", "<{v}>"),
                ("cat <<EOF; printf '\\0'\n<{v}>\nEOF\n", "<{v}>\n"),
                ("cat <<'E F'; printf '\\0'\n<{v}>\nE F\n", "<{v}>\n"),
                ("printf '%s\\0' \"it's\" # it's {v}\n", "it's"),
            ]
        ),
    )
    def test_in_quotes_a_value_is_refused_or_exact(self, value, case):
        template, expected = case
        try:
            command = render(template, v=value)
        except RunnerCommandError:
            return
        for shell in SHELLS:
            assert arguments_of(shell, command) == ([expected.replace("{v}", value)], [])

    FRAGMENTS = [  # noqa: RUF012
        "{v}", "{v}", " {v} ", "'", '"', "`", "$(", ")", "(", "((", "))", "$((", "${X:-", "${X}",
        "}", "{", "#", " # ", "\n", "\\", "\\\n", "$", "$'", "$X", "$$", "<<EOF\n", "\nEOF\n", " ",
        ";", "&&", "printf %s ", "a", "1", ">f ", "case x in ", "x) ", ";; esac", "eval ", "[[ ",
        "]] ", "it's", "$#", "${X#'a'}", "\\'", '\\"', "\\$", "$[", "]", ",", "x=", "<(",
        "<<<", "${ ",
    ]  # fmt: skip

    @settings(max_examples=400, deadline=None)
    @given(st.lists(st.sampled_from(FRAGMENTS), max_size=12).map("".join), st.sampled_from(ATTACKS))
    @example("printf %s \"${X:-'}\" {v} '", "$(>PWN)")
    @example("printf %s $'\\' {v} '", "$(>PWN)")
    @example('printf %s "$(case x in x) printf "{v}";; esac)"', "$(>PWN)")
    @example("((x = {v}))", "a[$(>PWN)]")
    @example("[[ {v} -eq 1 ]]", "a[$(>PWN)]")
    @example("cat <\\\n<EOF\n{v}\nEOF\n", "$(>PWN)")
    @example("(\\\n( {v} ))", "a[$(>PWN)]")
    @example("printf %s \\{v}", "'; >PWN; '")
    def test_no_template_lets_a_value_become_code(self, template, attack):
        command = "printf '%s' " + template
        try:
            command = render(command, v=attack)
        except RunnerCommandError:
            return
        for shell in SHELLS:
            assert "PWN" not in run(shell, command)[1]

    @pytest.mark.parametrize("shell", SHELLS)
    @pytest.mark.parametrize("attack", ATTACKS)
    def test_the_usual_template_with_hostile_values(self, shell, attack):
        printed, files = run(shell, render("echo hi {name} && printf %s {name}", name=attack))
        assert printed.endswith(attack)
        assert files == []
