"""The plugin of pytest: table, JSON, profiles, several processes, and that it costs nothing when it is not used."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

pytest_plugins = ["pytester"]

FAILING = """
    import ident_theory as it
    from ident_theory.testing import assert_condition, assert_equivalent, assert_identifiable

    def test_absolute_value():
        assert_identifiable(it.load_example("absolute_value"), name="absolute value")

    def test_leaky():
        assert_identifiable(it.load_example("relu"), name="one ReLU")

    def test_other():
        assert 1 == 2
"""


@pytest.fixture
def run(pytester):
    """Run pytest in a process of its own, with the plugin from its entry point."""
    def run(*arguments):
        return pytester.runpytest_subprocess("-p", "no:cacheprovider", *arguments)

    return run


def test_a_failing_check_is_in_the_table(pytester, run):
    pytester.makepyfile(FAILING)
    result = run()
    result.assert_outcomes(passed=1, failed=2)
    result.stdout.fnmatch_lines([
        "*identifiability verdicts*",
        "test *model *question *expected *verdict *evidence *reason",
        "*::test_absolute_value *absolute value *latent affine *identified *not identified *exact *cannot tell some*",
    ])
    table = result.stdout.str().split("identifiability verdicts")[1]
    assert "test_leaky" not in table
    assert "::test_other" not in table.split("short test summary")[0]


def test_no_table_when_nothing_fails(pytester, run):
    pytester.makepyfile("def test_nothing(): pass")
    result = run()
    assert "identifiability" not in result.stdout.str()


@pytest.mark.parametrize("processes", [(), ("-n", "2")], ids=["one process", "two"])
def test_verdicts_as_json(pytester, run, processes):
    pytester.makepyfile(FAILING)
    run("--ident-json", "out/verdicts.json", *processes)
    tree = json.loads((pytester.path / "out" / "verdicts.json").read_text())
    assert (tree["kind"], tree["format"]) == ("identifiability verdicts", 1)
    rows = {row["test"].split("::")[1]: row for row in tree["verdicts"]}
    assert sorted(rows) == ["test_absolute_value", "test_leaky"]
    assert not rows["test_absolute_value"]["passed"]
    assert rows["test_leaky"]["passed"]
    assert rows["test_leaky"]["verdict"] == "identified"
    assert rows["test_leaky"]["reason"].startswith("by kivva.thm3.2b")
    assert [item.name for item in (pytester.path / "out").iterdir()] == ["verdicts.json"]


def test_assertions_of_fixtures_are_told(pytester, run):
    pytester.makepyfile("""
        import ident_theory as it
        import pytest
        from ident_theory.testing import assert_identifiable

        @pytest.fixture
        def model(request):
            assert_identifiable(it.load_example("absolute_value"), name="in a fixture")

        def test_with_it(model):
            pass
    """)
    result = run("--junitxml", "junit.xml")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*::test_with_it *in a fixture *latent affine *identified *not identified *exact *"])
    assert "in a fixture" not in (pytester.path / "junit.xml").read_text().split("<failure")[0].split("<error")[0]


def test_several_processes_write_the_same_file(pytester, run):
    pytester.makepyfile("""
        import pytest
        from ident_theory.testing import VerdictRow, verdicts

        @pytest.mark.parametrize("i", range(12))
        def test_rows(i):
            verdicts.tell(VerdictRow("m", "q", "holds", "holds", "exact", "why", True))
    """)
    files = []
    for name, processes in (("one.json", ()), ("two.json", ("-n", "2"))):
        run("--ident-profile", "ci", "--ident-json", name, *processes).assert_outcomes(passed=12)
        files.append((pytester.path / name).read_bytes())
    assert files[0] == files[1]


def test_undecided_is_not_a_pass(pytester, run):
    pytester.makepyfile("""
        from dataclasses import replace

        import ident_theory as it
        from ident_theory.testing import assertions

        def test_undecided(monkeypatch):
            found = it.check(it.load_example("relu"))["F2"]
            unknown = replace(found, status=it.Status.UNKNOWN, proof=None, reason="the budget ran out")
            assertions._settle(unknown, it.Status.HOLDS, "a model", it.load_example("relu"), None, "", "")
    """)
    result = run()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*UndecidedError*", "*a model *F2 *holds *unknown *-  *the budget ran out"])


def test_properties_give_the_smallest_counterexample(pytester, run):
    pytester.makepyfile("""
        from hypothesis import given, settings
        from ident_theory.testing import assert_condition, models

        @settings(max_examples=20)
        @given(models(noise="none", components=1, depth=1, width=1))
        def test_injective(model):
            assert_condition(model, "F4")
    """)
    result = run("--ident-profile", "ci", "--ident-json", "verdicts.json")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*::test_injective *1 components* *F4 *holds *fails *exact *"])
    rows = json.loads((pytester.path / "verdicts.json").read_text())["verdicts"]
    assert sum(not row["passed"] for row in rows) == 1
    assert len(rows) <= 101


def test_expected_failures_are_none(pytester, run):
    pytester.makepyfile("""
        import pytest
        import ident_theory as it
        from ident_theory.testing import VerdictError, assert_identifiable

        @pytest.mark.xfail(raises=VerdictError, strict=True)
        def test_known():
            assert_identifiable(it.load_example("absolute_value"))

        def test_refused():
            with pytest.raises(VerdictError):
                assert_identifiable(it.load_example("absolute_value"))
    """)
    result = run()
    result.assert_outcomes(passed=1, xfailed=1)
    assert "identifiability" not in result.stdout.str()


@pytest.mark.parametrize(("name", "examples", "same"),
                         [("ci", 100, True), ("dev", 30, False), ("thorough", 2000, False)])
def test_profiles(pytester, run, name, examples, same):
    pytester.makepyfile(f"""
        from hypothesis import settings

        def test_profile():
            assert settings().max_examples == {examples}
            assert settings().derandomize is {same}
            assert settings().deadline is None
            assert settings().print_blob
            assert (settings().database is None) is {same}
    """)
    run("--ident-profile", name).assert_outcomes(passed=1)


def test_an_unknown_profile_is_refused(pytester, run):
    result = run("--ident-profile", "fast")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*--ident-profile*invalid choice*fast*"])


def test_the_plugin_is_light():
    code = ("import sys, ident_theory.testing.plugin; "
            "print([name for name in ('numpy', 'hypothesis', 'scipy', 'sympy', 'flint') if name in sys.modules])")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_same_examples_every_time(pytester, run):
    pytester.makepyfile("""
        from hypothesis import given
        from ident_theory.testing import models

        @given(models())
        def test_seen(model):
            with open("seen.txt", "a") as stream:
                stream.write(repr(model) + "\\n")
    """)
    seen = []
    for _ in range(2):
        run("--ident-profile", "ci").assert_outcomes(passed=1)
        file = pytester.path / "seen.txt"
        seen.append(file.read_text())
        file.unlink()
    assert seen[0] == seen[1]
