"""Files that are never copied into a record, because of what their names promise."""

import re

_PATTERNS = r"""
\.env(\..*)? | .*\.env | \.envrc
| .*\.(pem|key|p12|pfx|jks|keystore|kdbx|ppk|gpg|token|tfstate|tfvars|ovpn)
| id_(rsa|dsa|ecdsa|ed25519|xmss).* | ssh_host_.*
| [._]netrc | \.pgpass | \.npmrc | \.pypirc | \.htpasswd | \.dockercfg | \.boto | \.s3cfg
| \.ssh | \.aws | \.gnupg | \.kube | \.docker | \.azure
| kaggle\.json | service[-_]?account.*\.json | tokens?(\.(txt|json|ya?ml))?
| .*credential.* | .*secret.* | .*passw(or)?d.* | .*passphrase.* | .*api[-_]?keys?.*
| .*private[-_]?key.* | .*access[-_]?token.*
"""
_SECRET = re.compile(_PATTERNS, re.VERBOSE | re.IGNORECASE | re.DOTALL)


def is_secret_file(name: str) -> bool:
    """Return whether a file, or a folder that it lies in, is named like a secret.

    Parameters
    ----------
    name : str
        The file's path relative to the repository.
    """
    return any(_SECRET.fullmatch(part) for part in name.split("/"))
