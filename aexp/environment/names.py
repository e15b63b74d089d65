"""Names: which variables may be recorded, and which names sound like a secret."""

import functools
import os
import re

HARMLESS, OF_MODEL, DOUBTFUL, SECRET = range(4)
RECORD_VARIABLE = "AEXP_RECORD_ENV"

_EXACTLY = """
CUDA_VISIBLE_DEVICES CUDA_DEVICE_ORDER CUDA_LAUNCH_BLOCKING CUDA_HOME CUDA_PATH
CUDA_MODULE_LOADING CUBLAS_WORKSPACE_CONFIG NVIDIA_VISIBLE_DEVICES
NVIDIA_DRIVER_CAPABILITIES NVIDIA_TF32_OVERRIDE ROCR_VISIBLE_DEVICES HIP_VISIBLE_DEVICES
HSA_OVERRIDE_GFX_VERSION ZE_AFFINITY_MASK GPU_DEVICE_ORDINAL
PYTHONHASHSEED PYTHONPATH PYTHONHOME PYTHONOPTIMIZE PYTHONUNBUFFERED PYTHONNOUSERSITE
PYTHONDONTWRITEBYTECODE PYTHONWARNINGS PYTHONUTF8 PYTHONMALLOC PYTHONDEVMODE
VIRTUAL_ENV CONDA_DEFAULT_ENV CONDA_PREFIX CONDA_SHLVL PIXI_ENVIRONMENT_NAME UV_PYTHON
LOADEDMODULES _LMFILES_ MODULEPATH PIP_INDEX_URL PIP_EXTRA_INDEX_URL UV_INDEX_URL
UV_DEFAULT_INDEX
LANG LANGUAGE LC_ALL LC_CTYPE LC_NUMERIC TZ SHELL LD_LIBRARY_PATH LD_PRELOAD
XLA_FLAGS XLA_PYTHON_CLIENT_PREALLOCATE XLA_PYTHON_CLIENT_MEM_FRACTION
TF_DETERMINISTIC_OPS TF_CUDNN_DETERMINISTIC TF_ENABLE_ONEDNN_OPTS TF_XLA_FLAGS
TF_FORCE_GPU_ALLOW_GROWTH TF_CPP_MIN_LOG_LEVEL
NUMEXPR_NUM_THREADS NUMEXPR_MAX_THREADS VECLIB_MAXIMUM_THREADS BLIS_NUM_THREADS
RAYON_NUM_THREADS TOKENIZERS_PARALLELISM
RANK WORLD_SIZE LOCAL_RANK LOCAL_WORLD_SIZE NODE_RANK GROUP_RANK MASTER_ADDR MASTER_PORT
HF_HOME HF_HUB_OFFLINE HF_DATASETS_CACHE HF_DATASETS_OFFLINE HF_HUB_CACHE
TRANSFORMERS_OFFLINE TRANSFORMERS_CACHE
WANDB_MODE WANDB_PROJECT WANDB_ENTITY WANDB_DISABLED WANDB_RUN_GROUP WANDB_RUN_ID
WANDB_RESUME WANDB_BASE_URL MLFLOW_TRACKING_URI MLFLOW_EXPERIMENT_NAME MLFLOW_RUN_ID
APPTAINER_CONTAINER APPTAINER_NAME SINGULARITY_CONTAINER SINGULARITY_NAME
CI HOSTNAME KUBERNETES_SERVICE_HOST
"""
_ALLOWED = frozenset(_EXACTLY.split())
_PREFIXES = (
    "AEXP_",
    "SLURM_",
    "SLURMD_",
    "OMP_",
    "KMP_",
    "MKL_",
    "OPENBLAS_",
    "GOMP_",
    "NCCL_",
    "RCCL_",
    "GLOO_",
    "UCX_",
    "TORCH_",
    "TORCHINDUCTOR_",
    "PYTORCH_",
    "CUDNN_",
    "MIOPEN_",
    "JAX_",
)
# Of the machine or the person, not of the run.
_OF_PERSONS = re.compile(
    r"SLURMD?_(?:[A-Z0-9_]+_)?(?:ACCOUNT|USER|USERNAME|UID|GID|GROUP|MAIL|EMAIL)|SLURM_CONF",
    re.IGNORECASE,
)
_DENIED = re.compile(
    r"key|token|secret|pass|pwd|cred|cookie|auth|private|session|dsn|jwt|cert|sas|bearer|webhook"
    r"|login|conn_?str|license|_pat$",
    re.IGNORECASE,
)
_DENIAL_EXCEPTIONS = frozenset({"OLDPWD", "PWD", "TOKENIZERS_PARALLELISM"})

# Texts: `re` compiles them when a name is asked for, which most runs never do.
_WORD = r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+"
_SECRET_PARTS = (
    r"pass_?w|passph|passcode|secret|credential|api_?key|access_?key|private_?key|ssh_?key"
    r"|signing_?key|encryption_?key|account_?key|auth_?key|jwt|cookie|bearer|authori[sz]ation"
    r"|webhook|session_?(?:id|key|token)$|conn(?:ection)?_?str|token_?(?:value|secret)|netrc|oauth"
)
_SECRET_WORDS = frozenset({"pwd", "creds", "cred", "dsn", "passwd", "psk", "otp", "totp"})
_OF_MODELS = frozenset({"key", "keys", "token", "tokens"})
_DOUBTING = """
pass auth private session cert certs sas sid pin pat pw salt signature sig
"""
_DOUBTFUL_WORDS = frozenset(_DOUBTING.split())
_NO_SECRETS = """
monkey donkey turkey hockey whiskey jockey
bypass compass lowpass highpass bandpass multipass
"""
_NO_SECRET_WORDS = frozenset(_NO_SECRETS.split())
# Words that may make a token or a key one of a model's or a table's: the value decides.
_MODELLING = """
n num number max min count counts per total budget limit length len size dim dims dimension
index idx batch position positions rate dropout loss type types
pad eos bos unk sep cls mask special image video audio stop start end prefix suffix decoder
encoder vocab generated completion prompt
sort primary foreign group metric monitor head heads target column label feature
"""
_INNOCENT = frozenset(_MODELLING.split())
# Words at the end of a name that make it a measure: password_len, secret_ratio, api_key_dim.
_MEASURING = """
count counts dim dims dimension len length size rate ratio fraction dropout budget limit
"""
_MEASURES = frozenset(_MEASURING.split())


def allowed(name: str) -> bool:
    """Return whether a variable of the environment may be recorded with its value.

    ``AEXP_RECORD_ENV`` adds names and patterns; a name that sounds like a secret stays out.
    """
    if is_denied(name):
        return False
    if name in _ALLOWED or name.startswith(_PREFIXES):
        return True
    own = os.environ.get(RECORD_VARIABLE)
    if not own:
        return False
    from fnmatch import fnmatchcase

    return any(fnmatchcase(name, pattern.strip()) for pattern in own.split(","))


def is_denied(name: str) -> bool:
    """Return whether a variable is left out whatever a list says."""
    return sounds_secret(name) or _OF_PERSONS.fullmatch(name) is not None


def sounds_secret(name: str) -> bool:
    """Return whether a variable's name sounds like a secret: more do than hold one."""
    if name in _DENIAL_EXCEPTIONS:
        return False
    return _DENIED.search(name) is not None or secrecy(name) != HARMLESS


def is_secret_name(name: str) -> bool:
    """Return whether what stands under this name may be a secret."""
    return secrecy(name) != HARMLESS


@functools.lru_cache(maxsize=4096)
def secrecy(name: str) -> int:
    """Return what a name says of its value.

    Returns
    -------
    int
        `HARMLESS`; `OF_MODEL` for ``max_tokens`` and ``sort_key``, where a number, a special
        token and a plain word may be shown; `DOUBTFUL` for ``session`` and ``pad_token``,
        where only the first two may, and for the measure of a secret (``password_len``); `SECRET`
        for ``hf_token``.
    """
    words = [word.lower() for word in re.findall(_WORD, name)]
    joined = "_".join(words)
    if re.search(_SECRET_PARTS, joined) or not _SECRET_WORDS.isdisjoint(words):
        return DOUBTFUL if words[-1] in _MEASURES else SECRET
    is_of_model = not _INNOCENT.isdisjoint(words)
    found = HARMLESS
    for word in words:
        if word.startswith(("tokeni", "keypoint", "keyword", "keyboard", "author")):
            continue
        if word in _NO_SECRET_WORDS:
            continue
        is_last = word == words[-1]
        if word in _OF_MODELS and is_of_model:
            # A service's token is one word, at the end: image_pull_token.
            found = max(found, DOUBTFUL if word == "token" and is_last else OF_MODEL)
        elif word.endswith("token") or (
            word.endswith(("pass", "pwd", "auth", "psk")) and len(word) > 4
        ):
            found = max(found, SECRET if is_last else DOUBTFUL)
        elif word == "pw" and is_last:
            found = SECRET
        elif word in _DOUBTFUL_WORDS or "token" in word or word.endswith(("key", "keys")):
            found = max(found, DOUBTFUL)
    return found
