package config

import (
	"net"
	"path/filepath"
	"strconv"
)

// API is where the archiver serves the query API, for installations in which one process has
// archive and index to itself. Where api runs beside it, its flags say so.
type API struct {
	// Address is what the archiver listens on, empty for no API.
	Address string
	// Certificates is the folder with tls.crt and tls.key, empty for an API without TLS.
	Certificates string
}

func (r *reader) api(to *API, v any) {
	fields := r.object("api", v, "address", "certificates")
	r.optional(&to.Address, "api.address", fields["address"])
	if _, port, err := net.SplitHostPort(to.Address); to.Address != "" {
		if _, errPort := strconv.ParseUint(port, 10, 16); err != nil || errPort != nil {
			r.problem("api.address", "must be a port, such as :8082, or a host and a port")
		}
	}
	r.optional(&to.Certificates, "api.certificates", fields["certificates"])
	switch {
	case to.Certificates == "":
	case to.Address == "":
		r.problem("api.certificates", "is of no use without api.address")
	case !filepath.IsAbs(to.Certificates):
		r.problem("api.certificates", "must be the absolute path of a folder with tls.crt and tls.key")
	}
}

// optional is text that may be empty.
func (r *reader) optional(to *string, path string, v any) {
	if v != "" {
		r.text(to, path, v)
	}
}
