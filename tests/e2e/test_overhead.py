from benchmarks.overhead.__main__ import main


def test_the_comparison_with_a_bare_model_runs(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")
    main(["--runs", "1", "--seconds", "0.2", "--clients", "2", "--instances", "1"])
    printed = capsys.readouterr().out
    assert "1,024 bytes, 2 at once" in printed
    assert all(model in printed for model in ("bare", "echo"))
