package cloud

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// recorder is a server that accepts everything and records requests.
type recorder struct {
	*httptest.Server
	mu       sync.Mutex
	requests []*http.Request
}

func record(t *testing.T) *recorder {
	r := &recorder{}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		_ = request.ParseForm()
		_, _ = io.Copy(io.Discard, request.Body)
		r.mu.Lock()
		r.requests = append(r.requests, request)
		r.mu.Unlock()
		switch query := request.URL.Query(); {
		case request.Method == http.MethodPost && request.PostForm.Get("Action") == "AssumeRoleWithWebIdentity":
			_, _ = fmt.Fprint(w, `<AssumeRoleWithWebIdentityResponse><AssumeRoleWithWebIdentityResult><Credentials><AccessKeyId>ROLE-KEY</AccessKeyId>
				<SecretAccessKey>s</SecretAccessKey><SessionToken>ROLE-TOKEN</SessionToken><Expiration>2099-01-01T00:00:00Z</Expiration></Credentials>
				</AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>`)
		case query.Has("uploads"):
			_, _ = fmt.Fprint(w,
				`<InitiateMultipartUploadResult><UploadId>1</UploadId></InitiateMultipartUploadResult>`)
		case query.Has("uploadId") && request.Method == http.MethodPost:
			_, _ = fmt.Fprint(w, `<CompleteMultipartUploadResult><Key>k</Key></CompleteMultipartUploadResult>`)
		case query.Has("uploadType"):
			_, _ = fmt.Fprint(w, `{"name": "a/b"}`)
		default:
			w.Header().Set("ETag", `"1"`)
			w.WriteHeader(map[bool]int{true: http.StatusCreated,
				false: http.StatusOK}[request.Header.Get("X-Ms-Version") != ""])
		}
	}))
	t.Cleanup(r.Close)
	return r
}

// S3 requests have the encryption of the URL, for small and multipart objects.
func TestS3Encryption(t *testing.T) {
	static(t)
	for name, size := range map[string]int{"a small object": 1, "an object of several parts": 6 << 20} {
		t.Run(name, func(t *testing.T) {
			server := record(t)
			create(t, s3URL(server)+"&ssetype=aws:kms&kmskeyid=key-7", size)
			first := server.requests[0]
			wantHeaders(t, first, map[string]string{
				"X-Amz-Server-Side-Encryption": "aws:kms", "X-Amz-Server-Side-Encryption-Aws-Kms-Key-Id": "key-7",
			})
			last := server.requests[len(server.requests)-1]
			wantHeaders(t, last, map[string]string{"If-None-Match": "*"})
		})
	}
	server := record(t)
	create(t, s3URL(server)+"&ssetype=AES256", 1)
	wantHeaders(t, server.requests[0], map[string]string{"X-Amz-Server-Side-Encryption": "AES256",
		"X-Amz-Server-Side-Encryption-Aws-Kms-Key-Id": ""})
}

// Third-party servers may refuse the SDK's checksums.
func TestS3Checksums(t *testing.T) {
	static(t)
	for parameter, want := range map[string]bool{"": true, "&request_checksum_calculation=when_required": false} {
		server := record(t)
		create(t, s3URL(server)+parameter, 1)
		if got := server.requests[0].Header.Get("X-Amz-Checksum-Crc32") != ""; got != want {
			t.Errorf("%q: checksum sent: %v, want %v", parameter, got, want)
		}
	}
}

// Requests are signed with static keys, or with keys obtained with a service account's token.
func TestS3Identities(t *testing.T) {
	t.Run("allow static keys", func(t *testing.T) {
		static(t)
		server := record(t)
		create(t, s3URL(server), 1)
		wantSigned(t, server.requests[0], "STATIC-KEY", "")
	})
	t.Run("allow a service account's token", func(t *testing.T) {
		server := record(t)
		token := filepath.Join(t.TempDir(), "token")
		if err := os.WriteFile(token, []byte("projected-token"), 0o600); err != nil {
			t.Fatal(err)
		}
		environment(t, map[string]string{
			"AWS_ROLE_ARN": "arn:aws:iam::1:role/archiver", "AWS_WEB_IDENTITY_TOKEN_FILE": token,
			"AWS_ENDPOINT_URL_STS": server.URL,
		})
		create(t, s3URL(server), 1)
		if got := server.requests[0].PostForm.Get("WebIdentityToken"); got != "projected-token" {
			t.Errorf("sent token %q", got)
		}
		wantSigned(t, server.requests[1], "ROLE-KEY", "ROLE-TOKEN")
	})
}

func TestGCSEncryption(t *testing.T) {
	server := record(t)
	t.Setenv("STORAGE_EMULATOR_HOST", strings.TrimPrefix(server.URL, "http://"))
	const key = "projects/p/locations/l/keyRings/r/cryptoKeys/k"
	create(t, "gs://bucket?kmskeyid="+key, 1)
	query := server.requests[0].URL.Query()
	if got := query.Get("kmsKeyName"); got != key {
		t.Errorf("kmsKeyName is %q", got)
	}
	if got := query.Get("ifGenerationMatch"); got != "0" {
		t.Errorf("ifGenerationMatch is %q, want 0: only if there is none", got)
	}
}

func TestAzureEncryption(t *testing.T) {
	server := record(t)
	environment(t, map[string]string{"AZURE_STORAGE_ACCOUNT": "account", "AZURE_STORAGE_KEY": "a2V5"})
	address := strings.TrimPrefix(server.URL, "http://")
	create(t, "azblob://container?protocol=http&domain="+address+"&encryptionscope=archive", 1)
	wantHeaders(t, server.requests[0], map[string]string{"X-Ms-Encryption-Scope": "archive", "If-None-Match": "*"})
	if got := server.requests[0].Header.Get("Authorization"); !strings.HasPrefix(got, "SharedKey account:") {
		t.Errorf("Authorization is %q", got)
	}
}

func TestURLs(t *testing.T) {
	static(t)
	t.Setenv("STORAGE_EMULATOR_HOST", "127.0.0.1:1")
	t.Setenv("AZURE_STORAGE_ACCOUNT", "account")
	t.Setenv("AZURE_STORAGE_KEY", "a2V5")
	directory := t.TempDir()
	for text, want := range map[string]string{
		"file://" + directory: "",
		"s3://bucket?region=eu-central-1&prefix=team/a&timeout=10s": "",
		"gs://bucket?prefix=team/":                                  "",
		"azblob://container":                                        "",
		"file://host" + directory:                                   "file:///absolute/path",
		"file:relative":                                             "file:///absolute/path",
		"file://" + directory + "?prefix=a":                         "has no prefix",
		"file://" + directory + "?sync=no":                          "has no parameter sync",
		"http://bucket":                                             `scheme "http"`,
		"/var/lib":                                                  `scheme ""`,
		"s3://bucket?prefix=../other":                               "parameter prefix",
		"s3://bucket?timeout=soon":                                  "parameter timeout",
		"s3://bucket?timeout=0s":                                    "parameter timeout",
		"s3://bucket?region=r&ssetype=rot13":                        "ssetype",
		"s3://bucket?region=r&secret=hidden":                        `"secret"`,
		"gs://bucket?grpc=true&secret=hidden":                       "unknown query parameter",
		"azblob://container?secret=hidden":                          `"secret"`,
		"s3://buc\x7fket?secret=hidden":                             "is not a URL",
	} {
		s, err := Open(t.Context(), text)
		switch {
		case want == "" && err != nil, want != "" && (err == nil || !strings.Contains(err.Error(), want)):
			t.Errorf("%s: got %v, want %q", text, err, want)
		case err != nil && strings.Contains(err.Error(), "hidden"):
			t.Errorf("%s: the error repeats a parameter: %v", text, err)
		case err == nil:
			_ = s.Close()
		}
	}
}

func s3URL(server *recorder) string {
	return "s3://bucket?" + url.Values{"endpoint": {server.URL}, "use_path_style": {"true"},
		"region": {"us-east-1"}}.Encode()
}

func create(t *testing.T, url string, size int) {
	t.Helper()
	s, err := Open(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.Create(t.Context(), "a/b", strings.NewReader(strings.Repeat("x", size))); err != nil {
		t.Fatal(err)
	}
}

// static sets keys, and hides other credentials of the machine.
func static(t *testing.T) {
	environment(t, map[string]string{"AWS_ACCESS_KEY_ID": "STATIC-KEY", "AWS_SECRET_ACCESS_KEY": "secret"})
}

func environment(t *testing.T, values map[string]string) {
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	for _, name := range []string{"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"} {
		t.Setenv(name, "")
	}
	for name, value := range values {
		t.Setenv(name, value)
	}
}

func wantHeaders(t *testing.T, r *http.Request, want map[string]string) {
	t.Helper()
	for name, value := range want {
		if got := r.Header.Get(name); got != value {
			t.Errorf("%s %s: %s is %q, want %q", r.Method, r.URL, name, got, value)
		}
	}
}

func wantSigned(t *testing.T, r *http.Request, key, token string) {
	t.Helper()
	if got := r.Header.Get("Authorization"); !strings.Contains(got, "Credential="+key+"/") {
		t.Errorf("Authorization is %q, want it of %s", got, key)
	}
	wantHeaders(t, r, map[string]string{"X-Amz-Security-Token": token})
}
