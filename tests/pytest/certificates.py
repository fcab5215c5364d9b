# SPDX-License-Identifier: MIT
"""Certificates made by the openssl program."""

import subprocess


def openssl(*words, **options):
    done = subprocess.run(['openssl', *map(str, words)], capture_output=True, timeout=60, **options)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


class Authority:
    """Signs certificates, into a folder."""

    def __init__(self, folder, name='Test CA'):
        self.folder = folder
        self.cert = folder / 'ca.pem'
        self.key = folder / 'ca.key'
        openssl('req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2',
                '-subj', '/CN=' + name, '-keyout', self.key, '-out', self.cert)

    def issue(self, file, *names, subject=None, newkey=('ec', '-pkeyopt', 'ec_paramgen_curve:P-256'), days=2):
        """(certificate, key) of files named after `file`, for DNS names or, with IP:, addresses."""
        cert, key, request = (self.folder / (file + end) for end in ('.pem', '.key', '.csr'))
        names = [name if ':' in name else 'DNS:' + name for name in names]
        extension = self.folder / (file + '.ext')
        extension.write_text('subjectAltName=%s\n' % ','.join(names) if names else 'keyUsage=digitalSignature\n')
        openssl('req', '-newkey', *newkey, '-nodes', '-subj', subject or '/CN=' + file, '-keyout', key, '-out', request)
        openssl('x509', '-req', '-in', request, '-CA', self.cert, '-CAkey', self.key, '-CAcreateserial', '-days', days,
                '-extfile', extension, '-out', cert)
        return cert, key
