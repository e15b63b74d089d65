"""Variables that hold secrets, and those that only look odd."""

import base64
import json

# The secret proper, by the variable that holds it; nothing of it may be found anywhere.
SECRETS: dict[str, str] = {}


def probe(name: str, secret: str, value: str = "{}") -> None:
    """Note a variable; ``{}`` stands for the secret within its value."""
    SECRETS[name] = secret
    VALUES[name] = value.replace("{}", secret)


VALUES: dict[str, str] = {}

# The thirteen of the reference: five may be recorded, eight never.
HARMLESS = {
    "TORCH_HOME": "/data/torch",
    "CUDA_VISIBLE_DEVICES": "0,1",
    "SLURM_JOB_PARTITION": "gpu-long",
    "XLA_FLAGS": "--xla_gpu_deterministic_ops=true",
    "NCCL_DEBUG": "WARN",
}
THIRTEEN = {
    "SLURM_JWT": "slurmJwtValue00001",
    "AEXP_API_TOKEN": "aexpTokenValue00002",
    "AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE",
    "AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
    "AWS_SESSION_TOKEN": "awsSessionValue00003",
    "WANDB_API_KEY": "0123456789abcdef0123456789abcdef01234567",
    "HF_TOKEN": "hf_AbCdEfGhIjKlMnOpQrStUv12345",
    "DATABASE_URL": "postgres://me:dbPassword0004@db.example.org/runs",
}
for _name, _secret in THIRTEEN.items():
    probe(_name, _secret)
SECRETS["DATABASE_URL"] = "dbPassword0004"

# Forty of our own. By their names:
_NAMED = """
GITHUB_TOKEN GITLAB_PAT MYAPP_APIKEY SLACK_WEBHOOK_URL SENTRY_DSN PGPASSWORD MYSQL_PWD
OPENAI_API_KEY AZURE_CLIENT_SECRET GOOGLE_CREDENTIALS SSH_PRIVATE_KEY JUPYTER_TOKEN
TORCH_AUTH NCCL_SECRET OMP_PASSPHRASE KMP_COOKIE SLURM_SAS_VALUE MKL_SESSION_ID
PYTORCH_PASSWORD JAX_CERT_PEM AEXP_CREDENTIAL UCX_TLS_KEY Docker_Auth_Config
npm_auth_token
"""
for _name in _NAMED.split():
    probe(_name, f"named{len(SECRETS):03d}Secret{_name[:3]}X9")
# By what is in a value that may be recorded:
probe("PIP_INDEX_URL", "pipPassword0101", "https://user:{}@pypi.example.org/simple")
probe("PIP_EXTRA_INDEX_URL", "pipToken0102", "https://{}@pypi.example.org/simple")
probe("UV_INDEX_URL", "uvPass/word@0103", "https://user:{}@pypi.example.org/simple")
probe("WANDB_BASE_URL", "wandbPassword0104", "https://me:{}@wandb.example.org")
probe("MLFLOW_TRACKING_URI", "mlflowPassword0105", "http://me:{}@127.0.0.1:5000")
probe("AEXP_NOTE", "hf_NotedTokenValue0000106", "see {} there")
probe("NCCL_COMMENT", "eyJhbGciOi01.eyJzdWIiOjEw.c2lnbmF0dXJlMDEwNw", "jwt {}")
probe("TORCH_EXTRA", "torchSecret0108", "--api-key {} --level 3")
probe("OMP_NOTE", "ompSecret0109", "password={}")
probe("SLURM_COMMENT", "AKIAABCDEFGH01100110", "key {}")
probe("LD_LIBRARY_PATH", "ghp_abcdefghijklmnopqrst0111", "/opt/lib:{}")
probe("JAX_NOTE", base64.b64encode(b"user:basicPassw0rd0112").decode(), "Authorization: Basic {}")
probe("UCX_NOTE", json.dumps("jsonSecret0113")[1:-1], '{"token": "{}"}')
probe("MKL_NOTE", "xY7zQ2wK9vB4nM1pL6sD3fG8", "{}")
# Not to be recorded at all:
probe("HTTPS_PROXY", "proxyPassword0115", "http://me:{}@proxy.example.org:3128")
probe("MONGO_URI", "mongoPassword0116", "mongodb+srv://me:{}@cluster.example.org/db?x=1")
assert len(VALUES) == len(THIRTEEN) + 40, len(VALUES)
