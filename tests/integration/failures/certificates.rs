//! Certificates of an authority of the test's own.

use std::path::{Path, PathBuf};
use std::process::Command;

use ethmon::config::Fingerprint;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

/// `ca.pem`; `server.pem` for localhost, with the authority behind it, and `client.pem`, each with its `.key`.
pub(super) struct Authority(tempfile::TempDir);

impl Authority {
    pub(super) fn new() -> Self {
        let authority = Self(tempfile::tempdir().unwrap());
        authority.openssl(
            "req -x509 -nodes -days 2 -subj /CN=ethmon-test -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 \
             -addext basicConstraints=critical,CA:TRUE -keyout ca.key -out ca.pem",
        );
        authority.issue("server", "subjectAltName=DNS:localhost,IP:127.0.0.1");
        authority.issue("client", "extendedKeyUsage=clientAuth");
        let chain = [authority.read("server.pem"), authority.read("ca.pem")].concat();
        std::fs::write(authority.path("server.pem"), chain).unwrap();
        authority
    }

    /// Makes `NAME.pem` and `NAME.key`, or makes them anew.
    pub(super) fn issue(&self, name: &str, extension: &str) {
        self.openssl(&format!(
            "req -nodes -subj /CN={name} -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 \
             -addext {extension} -keyout {name}.key -out {name}.csr"
        ));
        self.openssl(&format!(
            "x509 -req -days 2 -in {name}.csr -CA ca.pem -CAkey ca.key -CAcreateserial -copy_extensions copy -out {name}.pem"
        ));
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(super) fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(name)).unwrap()
    }

    pub(super) fn fingerprint(&self) -> Fingerprint {
        let certificate = CertificateDer::from_pem_slice(&self.read("ca.pem")).unwrap();
        Fingerprint::of(&certificate)
    }

    fn openssl(&self, arguments: &str) {
        run(self.0.path(), "openssl", arguments);
    }
}

fn run(dir: &Path, program: &str, arguments: &str) {
    let output = Command::new(program)
        .args(arguments.split_whitespace())
        .current_dir(dir)
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments}\n{errors}");
}
