"""The catalogue's tables: names, columns with their types and meaning, and views over them."""

from aexp.catalogue.shape import Column, Table, View

VERSION = 6

# What a row belongs to, and is replaced with: a run, a file of the record, a campaign.
RUN, FILE, CAMPAIGN = "run", "file", "campaign"


def newest_first(runs: str) -> str:
    """Return the order in which runs are listed, as ``aexp ls`` has it, for an alias of them."""
    return (
        f"greatest({runs}.ended_at, {runs}.started_at, {runs}.queued_at) DESC NULLS LAST, "
        f"coalesce({runs}.sequence, 0) DESC, {runs}.job_id DESC"
    )


def _columns(text: str) -> tuple[Column, ...]:
    lines = (line.split(None, 2) for line in text.splitlines() if line.strip())
    return tuple(Column(name, kind, about) for name, kind, about in lines)


_JOB = "job_id VARCHAR the run\n"

RUNS = Table(
    "runs",
    "one run, as it is known now",
    RUN,
    "job_id",
    _columns(
        """
        job_id VARCHAR the run's id, 32 hex digits
        project_slug VARCHAR the project that it belongs to
        source VARCHAR `ledger` or `store`: which of its records these are
        in_store BOOLEAN false of a run that only the ledger tells of
        status VARCHAR one of the seven status words
        experiment_id VARCHAR its experiment
        hypothesis_id VARCHAR the hypothesis that it is linked to
        sub_hypothesis_id VARCHAR the part of it
        kind VARCHAR `adhoc` of a run of `aexp exec`
        name VARCHAR the name of an ad-hoc run
        condition VARCHAR the condition in its state point
        tag VARCHAR its first label
        tags VARCHAR[] all its labels
        command VARCHAR of the last attempt; known in this store only, or of an ad-hoc run
        cause VARCHAR why it did not complete
        returncode BIGINT of the last attempt; negative for a signal
        outcome VARCHAR what its pre-registration says of the result
        outcome_residual BOOLEAN whether that is the outcome that no condition describes
        sidecar VARCHAR file of the pre-registration
        sidecar_sha256 VARCHAR its digest when the run was queued or started
        sidecar_mode VARCHAR `declared`, `bypassed` or `none`
        agent_mode VARCHAR `collaborative` or `autonomous`
        code_commit VARCHAR the commit that it was queued on
        code_dirty BOOLEAN whether there were uncommitted changes
        queued_at TIMESTAMP last queueing, UTC, as all times here
        sequence BIGINT its place in the queue of this store: microseconds since 1970
        started_at TIMESTAMP first start since then
        ended_at TIMESTAMP its end
        wallclock_s DOUBLE seconds of the attempts since it was queued
        n_attempts BIGINT how many attempts it has had
        host VARCHAR of the last attempt
        slurm_job_id VARCHAR of the last attempt
        max_rss_mb DOUBLE of the last attempt
        cpu_s DOUBLE of the last attempt
        environment VARCHAR digest of what the last attempt ran in
        software VARCHAR digest of what would have to be installed
        tracker VARCHAR backend of its tracker
        tracker_url VARCHAR where the tracker shows it
        machine VARCHAR label of the machine whose record this is
        promoted_at TIMESTAMP when the ledger got it
        aexp_version VARCHAR version that executed the last attempt
        statepoint JSON its configuration, as it is
        metrics JSON its final numbers
        resources JSON what it asked for
        """
    ),
)
ATTEMPTS = Table(
    "attempts",
    "one execution of a run",
    RUN,
    "job_id",
    _columns(
        _JOB
        + """
        attempt BIGINT 1, 2, …
        status VARCHAR how it ended; `queued` for an interruption
        started_at TIMESTAMP its start
        ended_at TIMESTAMP its end
        wallclock_s DOUBLE seconds
        returncode BIGINT of the command
        cause VARCHAR why it did not complete
        host VARCHAR where
        slurm_job_id VARCHAR in which Slurm job
        slurm_array_job_id VARCHAR of which array
        slurm_array_task_id VARCHAR which task of it
        resumed_from VARCHAR checkpoint that it went on from
        resumed_run VARCHAR the run that saved it, when it is another one
        max_rss_mb DOUBLE peak memory
        cpu_s DOUBLE CPU time
        environment VARCHAR digest of what it ran in
        software VARCHAR digest of what was installed
        """
    ),
)
PARAMS = Table(
    "params",
    "one value of a run's configuration; nested ones have names with dots",
    RUN,
    "job_id",
    _columns(
        _JOB
        + """
        key VARCHAR its name
        type VARCHAR `null`, `bool`, `int`, `float`, `str`, `list`, or `dict` (an empty one)
        num DOUBLE its number, if it is one
        str VARCHAR the value as text
        """
    ),
    (
        (
            Column("value", "JSON", "the value as JSON"),
            "CASE WHEN type = 'str' OR NOT isfinite(num) THEN to_json(str) ELSE str::JSON END",
        ),
    ),
)
METRICS = Table(
    "metrics",
    "one final number of a run",
    RUN,
    "job_id",
    _columns(
        _JOB
        + """
        key VARCHAR its name
        value DOUBLE the number; it can be NaN or infinite
        """
    ),
)
ARTIFACTS = Table(
    "artifacts",
    "one file that a run executed, read or made",
    RUN,
    "job_id",
    _columns(
        _JOB
        + """
        role VARCHAR `code`, `input` or `output`
        path VARCHAR relative to the repository; NULL for very many files together
        sha256 VARCHAR 64 hex digits; of very many files, over all of them
        size BIGINT bytes
        files BIGINT how many files that is
        """
    ),
)
LINKS = Table(
    "links",
    "one run that another names as its parent",
    RUN,
    "child",
    _columns(
        """
        child VARCHAR the run that came later
        parent VARCHAR the run that it builds on
        kind VARCHAR `declared`, `after` or `checkpoint`
        """
    ),
)
_NOTE = """
        path VARCHAR its file
        title VARCHAR its title
        status VARCHAR its status word
        created VARCHAR date of its creation
        tags VARCHAR[] its tags
        """
HYPOTHESES = Table(
    "hypotheses",
    "one hypothesis of the record",
    FILE,
    "path",
    _columns("hypothesis_id VARCHAR its id\n" + _NOTE + "thread_id VARCHAR where it comes from"),
)
EXPERIMENTS = Table(
    "experiments",
    "one experiment of the record",
    FILE,
    "path",
    _columns(
        "experiment_id VARCHAR its id\n"
        + _NOTE
        + """hypothesis_id VARCHAR what it tests
        runner_command VARCHAR template of the command
        """
    ),
)
FINDINGS = Table(
    "findings",
    "one finding of the record",
    FILE,
    "path",
    _columns(
        "finding_id VARCHAR its id\n"
        + _NOTE
        + """impact VARCHAR `HIGH`, `MEDIUM` or `LOW`
        hypothesis_id VARCHAR what it is about
        experiment_id VARCHAR what it comes from
        """
    ),
)
THREADS = Table(
    "threads",
    "one thread of the record",
    FILE,
    "path",
    _columns("thread_id VARCHAR its id\n" + _NOTE),
)
CITATIONS = Table(
    "citations",
    "one item of a finding's supporting_runs",
    FILE,
    "path",
    _columns(
        """
        finding_id VARCHAR the finding
        path VARCHAR its file
        line BIGINT where in the file
        type VARCHAR `job`, `batch` or `malformed`
        job_id VARCHAR the run, of a job
        experiment_id VARCHAR the experiment, of a batch
        selector JSON the values that its runs have, of a batch
        digest VARCHAR the entry or entries that it pins
        fault VARCHAR what is wrong with it
        """
    ),
)
CAMPAIGNS = Table(
    "campaigns",
    "one campaign",
    CAMPAIGN,
    "campaign_id",
    _columns(
        """
        campaign_id VARCHAR its id
        mode VARCHAR `exploration` or `confirmation`
        status VARCHAR `open` or `concluded`
        question VARCHAR what it asks
        hypothesis VARCHAR what it tests
        parent VARCHAR the campaign that it follows from
        created_at TIMESTAMP when it was created
        created_commit VARCHAR on which commit
        outcome VARCHAR label of the conclusion
        note VARCHAR what was concluded
        concluded_at TIMESTAMP when
        concluded_commit VARCHAR on which commit
        """
    ),
)
CAMPAIGN_RUNS = Table(
    "campaign_runs",
    "one run of a campaign",
    CAMPAIGN,
    "campaign_id",
    _columns(
        """
        campaign_id VARCHAR the campaign
        job_id VARCHAR the run
        counts BOOLEAN false for one that was added after the conclusion
        """
    ),
)
SOURCE_FILES = Table(
    "source_files",
    "one file that the catalogue was made from",
    FILE,
    "path",
    _columns(
        """
        path VARCHAR relative to the repository
        kind VARCHAR `ledger`, `store`, `record` or `campaign`
        size BIGINT bytes
        mtime_ns BIGINT when it was changed
        error VARCHAR what is wrong with it; NULL for a good one
        """
    ),
)
TABLES: tuple[Table, ...] = (
    RUNS,
    ATTEMPTS,
    PARAMS,
    METRICS,
    ARTIFACTS,
    LINKS,
    HYPOTHESES,
    EXPERIMENTS,
    FINDINGS,
    THREADS,
    CITATIONS,
    CAMPAIGNS,
    CAMPAIGN_RUNS,
    SOURCE_FILES,
)

VIEWS: tuple[View, ...] = (
    View(
        "edges",
        "what a run builds on: its links, and inputs that are another run's output "
        "(kind `content`, with path and digest)",
        """SELECT child, parent, kind, NULL::VARCHAR AS via_path, NULL::VARCHAR AS via_sha256
           FROM links
           UNION ALL
           SELECT DISTINCT i.job_id, o.job_id, 'content', i.path, i.sha256
           FROM artifacts i JOIN artifacts o USING (sha256)
           WHERE i.role = 'input' AND o.role = 'output' AND i.job_id <> o.job_id
             AND i.size > 0  -- all empty files are the same""",
    ),
    View(
        "cited_runs",
        "the runs that findings cite, those of batches one by one",
        """SELECT finding_id, job_id, 'job' AS type FROM citations WHERE type = 'job'
           UNION
           SELECT c.finding_id, r.job_id, 'batch'
           FROM citations c JOIN runs r USING (experiment_id)
           WHERE c.type = 'batch' AND len([k FOR k IN json_keys(c.selector) IF
             (r.statepoint ->> ('$."' || k || '"'))
               IS DISTINCT FROM (c.selector ->> ('$."' || k || '"'))
             AND (TRY_CAST(r.statepoint ->> ('$."' || k || '"') AS DOUBLE)
               = TRY_CAST(c.selector ->> ('$."' || k || '"') AS DOUBLE)) IS NOT true
           ]) = 0""",
    ),
    View(
        "v_runs",
        "the runs, the one that something happened to last first, with their campaigns",
        """SELECT r.*, c.campaigns FROM runs r
           LEFT JOIN (SELECT job_id, list(campaign_id ORDER BY campaign_id) AS campaigns
                      FROM campaign_runs WHERE counts GROUP BY job_id) c USING (job_id)
           ORDER BY """
        + newest_first("r"),
    ),
)
