package config

import (
	"strings"
	"testing"
)

func TestParseAPI(t *testing.T) {
	for section, test := range map[string]struct {
		want  API
		wrong string
	}{
		"":                             {},
		"api:":                         {},
		`api: {address: ""}`:           {},
		`api: {address: ":8082"}`:      {want: API{Address: ":8082"}},
		`api: {address: "[::1]:8082"}`: {want: API{Address: "[::1]:8082"}},
		`api: {address: ":8443", certificates: /etc/tls}`: {want: API{Address: ":8443", Certificates: "/etc/tls"}},
		`api: {address: "8082"}`:                          {wrong: "api.address must be a port, such as :8082, or a host and a port"},
		`api: {address: ":http"}`:                         {wrong: "api.address must be a port"},
		`api: {address: 8082}`:                            {wrong: "api.address must be a string"},
		`api: {certificates: /etc/tls}`:                   {wrong: "api.certificates is of no use without api.address"},
		`api: {address: ":1", certificates: tls}`:         {wrong: "api.certificates must be the absolute path of a folder"},
		`api: {port: 1}`:                                  {wrong: "api.port is not a field; allowed are address, certificates"},
	} {
		c, err := Parse([]byte(withImage + section))
		if test.wrong != "" {
			if err == nil || !strings.Contains(err.Error(), test.wrong) {
				t.Errorf("%s: %v, want %s", section, err, test.wrong)
			}
			continue
		}
		if err != nil || c.API != test.want {
			t.Errorf("%s: %+v, %v", section, c, err)
		}
	}
}
