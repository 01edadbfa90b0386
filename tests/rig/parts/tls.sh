# shellcheck shell=bash
# Certificates for a secured broker and for the tests that want a bad one. Sourced by rig. Expects: die, DIR.

TLS=$DIR/tls
readonly TLS_CLIENT=certificate-client TLS_DAYS=3650

# Only what is written here: nothing of the machine's own openssl.cnf.
tls_options() {
  cat <<END
[ca]
default_ca = issuer
[issuer]
new_certs_dir = issued
database = issued/index
rand_serial = yes
unique_subject = no
default_md = sha256
default_days = $TLS_DAYS
policy = subject
[subject]
commonName = supplied
[req]
distinguished_name = name
prompt = no
[name]
[authority]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
[server]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth, clientAuth
subjectAltName = DNS:localhost, IP:127.0.0.1
[server_elsewhere]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth
subjectAltName = DNS:broker.elsewhere.example
[client]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = clientAuth
END
}

# PKCS#8, on P-256: quick to make.
tls_key() { openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$1.key"; }

# tls_authority NAME: NAME.pem, NAME.key.
tls_authority() {
  tls_key "$1"
  openssl req -x509 -new -config openssl.cnf -extensions authority -subj "/CN=rig $1" -days "$TLS_DAYS" \
    -key "$1.key" -out "$1.pem"
}

# tls_certificate NAME AUTHORITY EXTENSIONS COMMON_NAME [OPTION…]: NAME.pem, NAME.key, by the authority. `openssl ca`
# because it alone takes both dates in every OpenSSL 3.
tls_certificate() {
  local -r name=$1 authority=$2 extensions=$3 common_name=$4
  shift 4
  tls_key "$name"
  openssl req -new -config openssl.cnf -subj "/CN=$common_name" -key "$name.key" -out "$name.csr"
  openssl ca -batch -notext -config openssl.cnf -extensions "$extensions" -cert "$authority.pem" \
    -keyfile "$authority.key" -in "$name.csr" -out "$name.pem" "$@"
  rm -f "$name.csr"
}

tls_make() {
  tls_options >openssl.cnf
  mkdir issued
  : >issued/index
  tls_authority ca
  # Nothing here has been signed by it but the stranger.
  tls_authority other-ca
  tls_certificate broker ca server localhost
  tls_certificate expired ca server localhost -startdate 20200101000000Z -enddate 20200201000000Z
  tls_certificate elsewhere ca server_elsewhere broker.elsewhere.example
  tls_certificate client ca client "$TLS_CLIENT"
  tls_certificate stranger other-ca client "$TLS_CLIENT"
  rm -rf issued
  # Kafka wants key and chain in one file.
  cat broker.key broker.pem ca.pem >broker-store.pem
  cat client.key client.pem ca.pem >client-store.pem
}

# Once per folder: made beside, then renamed, so that an interrupted call leaves no half of it.
tls_prepare() {
  command -v openssl >/dev/null || die "openssl is missing; install it"
  [[ ! -d $TLS ]] || return 0
  rm -rf "$TLS.new"
  # Private keys are their owner's alone, certificates may be read.
  (umask 077 && mkdir -p "$TLS.new" && cd "$TLS.new" && tls_make) >"$SECURED/tls.log" 2>&1 ||
    die "the certificates could not be made: $(tail -n 5 "$SECURED/tls.log")"
  chmod 755 "$TLS.new"
  chmod 644 "$TLS.new"/{ca,other-ca,broker,expired,elsewhere,client,stranger}.pem
  mv "$TLS.new" "$TLS"
}
