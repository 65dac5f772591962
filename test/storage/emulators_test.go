package storage

import (
	"bufio"
	"cmp"
	"encoding/base64"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob"
	"github.com/fsouza/fake-gcs-server/fakestorage"

	"github.com/indelible-ci/indelible/pkg/archive/store"
	"github.com/indelible-ci/indelible/pkg/archive/store/storetest"
)

// emulated is smaller than what the S3 server gets: emulators are slow, and only the driver is in
// question.
var emulated = storetest.Options{Races: 20, StreamBytes: 24 << 20, Listed: 1100}

// The driver of GCS passes what every store must, against an emulator.
func TestGCSEmulator(t *testing.T) {
	server, err := fakestorage.NewServerWithOptions(fakestorage.Options{Scheme: "http", Host: "127.0.0.1",
		StorageRoot: t.TempDir(), Writer: io.Discard})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Stop)
	server.CreateBucketWithOpts(fakestorage.CreateBucketOpts{Name: bucket})
	t.Setenv("STORAGE_EMULATOR_HOST", strings.TrimPrefix(server.URL(), "http://"))
	storetest.Run(t, emulated, func(t *testing.T) func() store.Store {
		url := "gs://" + bucket + "?" + place()
		return func() store.Store { return open(t, url) }
	})
	missing(t, open(t, "gs://another?timeout="+silence))
}

// The driver of Azure passes what every store must, against an emulator.
func TestAzureEmulator(t *testing.T) {
	const account = "indelibletest"
	key := base64.StdEncoding.EncodeToString([]byte("opens only this emulator"))
	address := azurite(t, account, key)
	t.Setenv("AZURE_STORAGE_ACCOUNT", account)
	t.Setenv("AZURE_STORAGE_KEY", key)
	credential, err := azblob.NewSharedKeyCredential(account, key)
	if err != nil {
		t.Fatal(err)
	}
	client, err := azblob.NewClientWithSharedKeyCredential("http://"+address+"/"+account, credential, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.CreateContainer(t.Context(), bucket, nil); err != nil {
		t.Fatal(err)
	}
	// Blocks that were staged and never committed make the emulator answer that there is a blob. A
	// part's key is used by one attempt only, and a commit is too small for blocks.
	options := emulated
	options.TakenByFailure = true
	parameters := "?protocol=http&domain=" + address
	storetest.Run(t, options, func(t *testing.T) func() store.Store {
		url := "azblob://" + bucket + parameters + place()
		return func() store.Store { return open(t, url) }
	})
	missing(t, open(t, "azblob://another"+parameters+"&timeout="+silence))
}

var listening = regexp.MustCompile(`listens on http://([0-9.:]+)`)

// azurite starts the emulator, and returns its address. It is a program of Node.js that `make
// storage-emulators` installs.
func azurite(t *testing.T, account, key string) string {
	t.Helper()
	home, _ := os.UserHomeDir()
	program := filepath.Join(cmp.Or(os.Getenv("INDELIBLE_CACHE"), filepath.Join(home, ".cache", "indelible")),
		"azurite",
		"node_modules", ".bin", "azurite-blob")
	if _, err := os.Stat(program); err != nil {
		t.Skip("no Azure emulator is installed: make storage-emulators (needs npm) installs it")
	}
	command := exec.CommandContext(t.Context(), program, "--blobHost", "127.0.0.1", "--blobPort", "0", "--location",
		t.TempDir(),
		"--skipApiVersionCheck", "--disableTelemetry")
	command.Env = append(os.Environ(), "AZURITE_ACCOUNTS="+account+":"+key)
	command.Stderr = os.Stderr
	out, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = command.Process.Kill()
		_ = command.Wait()
	})
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if found := listening.FindStringSubmatch(lines.Text()); found != nil {
			go func() { _, _ = io.Copy(io.Discard, out) }()
			return found[1]
		}
	}
	t.Fatalf("the Azure emulator ended: %v", lines.Err())
	return ""
}
