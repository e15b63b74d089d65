"""Files that are never copied into a record, because of what their names promise."""

import re

# A text: `re` compiles it when there is a changed file to look at, and keeps it.
_SECRET = r"""(?xis)
\.env(\..*)? | .*\.env | \.envrc
| .*\.(pem|key|p12|pfx|jks|keystore|kdbx|ppk|gpg|token|tfstate|tfvars|ovpn)
| id_(rsa|dsa|ecdsa|ed25519|xmss).* | ssh_host_.*
| [._]netrc | \.pgpass | \.npmrc | \.pypirc | \.htpasswd | \.dockercfg | \.boto | \.s3cfg
| \.ssh | \.aws | \.gnupg | \.kube | \.docker | \.azure
| kaggle\.json | service[-_]?account.*\.json | tokens?(\.(txt|json|ya?ml))?
| .*credential.* | .*secret.* | .*passw(or)?d.* | .*passphrase.* | .*api[-_]?keys?.*
| .*private[-_]?key.* | .*access[-_]?token.*
"""


def is_secret_file(name: str) -> bool:
    """Return whether a file, or a folder that it lies in, is named like a secret.

    Parameters
    ----------
    name : str
        The file's path relative to the repository.
    """
    return any(re.fullmatch(_SECRET, part) for part in name.split("/"))
