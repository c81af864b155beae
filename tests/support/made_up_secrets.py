"""Secrets of many kinds, made up."""

import json

# Made up, and written in parts, so that scanners of this repository do not report them.
SECRETS = {
    "OpenSSH key": "-----BEGIN OPENSSH PRIVATE "
    "KEY-----\n" + "b3BlbnNzaC1rZXktdjEA" * 4 + "\n-----END OPENSSH PRIVATE KEY-----",
    "service account": json.dumps(
        {
            "type": "service_account",
            "private_key": "-----BEGIN PRIVATE "
            "KEY-----\n" + "MIIEvQIBADANBgkqhkiG" * 4 + "\n-----END PRIVATE KEY-----\n",
        }
    ),
    "Hugging Face": "hf_" + "KqWzXvBnTrYpLmSdFgHjCkQeRtUiOaPwEs",
    "Slack": "xoxp-" + "583920174629-194758203948-384756201938-5f1c9e7ab04d2836ef719c5a0b8d3e42",
    "GitHub": "ghp_" + "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8",
    "GitLab": "glpat-" + "x7Kp2Qm9Zt4Wv8Lr3NsB",
    "NVIDIA": "nvapi-" + "q8Zt4Wv7Kp2Qm9x3NsB5yUc1Ef6Gh0Jd" * 2,
    "AWS": "AKIA" + "ABCDEFGH23456722",
    "PostgreSQL": "postgres://admin:" + "s3cretPassw0rd@db.example",
    "registry": '{"auths": {"r": {"auth": "' + 'cm9ib3Q6aHVudGVyMg=="}}}',
    "web": "https://robot:" + "hunter2@registry.example",
}
