# One queued run, one rule instance. Its outputs are the sentinel in the run's workspace
# and its ledger entry; docs/workflow.md says what each line is for.
from aexp.workflow.engine import Engine

aexp_engine = Engine(config, is_module=workflow.modifier.parent_modifier is not None)


rule run_job:
    input:
        lambda wildcards: [ancient(path) for path in aexp_engine.parents(wildcards)],
    output:
        sentinel=aexp_engine.sentinel("{job_id}"),
        ledger=aexp_engine.ledger("{job_id}"),
    wildcard_constraints:
        job_id="[0-9a-f]{32}",
    params:
        command=aexp_engine.command,
        options=aexp_engine.run_options,
    priority: aexp_engine.priority
    threads: aexp_engine.threads
    resources:
        **aexp_engine.resources(workflow.resource_settings._parsed_default_resources),
    shell:
        "exec {params.command} run-queued {wildcards.job_id} {params.options}"


# The gate for rules of your own: a file that only a complete run has.
rule run_complete:
    localrule: True
    input:
        ancient(aexp_engine.sentinel("{job_id}")),
    output:
        aexp_engine.gate("{job_id}"),
    wildcard_constraints:
        job_id="[0-9a-f]{32}",
    params:
        command=aexp_engine.command,
    shell:
        "exec {params.command} gate {wildcards.job_id}"
