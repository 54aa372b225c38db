# SDKs that bring authorities of their own find the cloud's among the machine's.
export AWS_CA_BUNDLE=/etc/ssl/certs/ca-certificates.crt NODE_EXTRA_CA_CERTS=/etc/ssl/certs/ca-certificates.crt
