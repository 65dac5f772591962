package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"k8s.io/client-go/kubernetes"

	"github.com/indelible-ci/indelible/pkg/archive/identity"
	"github.com/indelible-ci/indelible/pkg/archive/migrate"
)

// peerOptions are flags for the connection to a Tekton Results.
type peerOptions struct {
	api, tokenFile, ca string
	plain              bool
}

func (p *peerOptions) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&p.api, "api", "", "address of its gRPC API, such as tekton-results-api-service.tekton-pipelines:8080")
	f.StringVar(&p.tokenFile, "token-file", "",
		"file with the bearer token for its API, such as that of a ServiceAccount with read access; read for each call")
	f.StringVar(&p.ca, "ca", "", "file with the CA certificates of its API; empty: those of this machine")
	f.BoolVar(&p.plain, "plain", false, "its API has no TLS; a token is not sent then")
}

// connect returns a connection, which is established at the first use.
func (p *peerOptions) connect() (*grpc.ClientConn, error) {
	if p.plain && p.tokenFile != "" {
		return nil, &usageError{errors.New("--token-file: a token is not sent without TLS; leave out --plain")}
	}
	options := []grpc.DialOption{grpc.WithTransportCredentials(insecure.NewCredentials())}
	if !p.plain {
		config := &tls.Config{MinVersion: tls.VersionTLS12}
		if p.ca != "" {
			pem, err := os.ReadFile(p.ca)
			if err != nil {
				return nil, fmt.Errorf("--ca: %w", err)
			}
			config.RootCAs = x509.NewCertPool()
			if !config.RootCAs.AppendCertsFromPEM(pem) {
				return nil, fmt.Errorf("--ca: %s has no certificate", p.ca)
			}
		}
		options = []grpc.DialOption{grpc.WithTransportCredentials(credentials.NewTLS(config))}
	}
	if p.tokenFile != "" {
		options = append(options, grpc.WithPerRPCCredentials(tokenFile(p.tokenFile)))
	}
	connection, err := grpc.NewClient(p.api, options...)
	if err != nil {
		return nil, fmt.Errorf("--api: %w", err)
	}
	return connection, nil
}

// tokenFile sends the token in a file, which is read for each call.
type tokenFile string

func (f tokenFile) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	token, err := os.ReadFile(string(f))
	if err != nil {
		return nil, err
	}
	return map[string]string{"authorization": "Bearer " + string(bytes.TrimSpace(token))}, nil
}

func (tokenFile) RequireTransportSecurity() bool { return true }

type importOptions struct {
	peerOptions
	postgres, logs, from string
	compare              bool
}

func newImport(c *common) *cobra.Command {
	var o importOptions
	cmd := &cobra.Command{
		Use:   "import {--api=ADDRESS | --postgres=URL}",
		Short: "Import the history of a Tekton Results",
		Long: `Import the content of a Tekton Results, by its API or its Postgres: finished runs become commits,
with their logs and events, and everything else becomes objects as tools write them. What the
archive has already is left alone, so the import can be interrupted and repeated, also while Tekton
Results still writes: the next import adds what is new. Progress is written to standard error, with
the value of --from to continue there. After an import update the index: archiver index sync.

With --compare nothing is imported: what is missing in the archive or different there is written to
standard output, one per line.

Set the password of the database in the environment variable PGPASSWORD. Logs are not in the
database: give --api as well, or --logs, the directory in which its API server stores them.

Exit codes: 0 everything is in the archive, 1 not completed, 3 a comparison found differences.`,
		Args: usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error { return runImport(cmd.Context(), c, cmd, &o) },
	}
	o.flags(cmd)
	f := cmd.Flags()
	f.StringVar(&o.postgres, "postgres", "",
		"URL of its database, such as postgres://user@host:5432/tekton-results?sslmode=verify-full")
	f.StringVar(&o.logs, "logs", "", "directory with its logs, LOGS_PATH of its API server")
	f.StringVar(&o.from, "from", "", "where to begin, as printed with the progress")
	f.BoolVar(&o.compare, "compare", false, "compare only, and write nothing")
	return cmd
}

func runImport(ctx context.Context, c *common, cmd *cobra.Command, o *importOptions) error {
	source, closeSource, err := o.source(ctx)
	if err != nil {
		return err
	}
	defer closeSource()
	a, err := c.openArchive(ctx, noIndex)
	if err != nil {
		return err
	}
	defer a.close()
	if !o.compare {
		if err := c.bind(ctx, a, "archiver import"); err != nil {
			return err
		}
	}
	stderr := cmd.ErrOrStderr()
	totals, err := migrate.Import(ctx, migrate.Options{
		Source: source, Store: a.store, Cluster: a.cluster, Version: version + " import", Now: time.Now, From: o.from,
		Compare: o.compare,
		Progress: func(position string, t migrate.Totals) {
			_, _ = fmt.Fprintf(stderr, "%s; go on with --from=%s\n", summaryOf(t), position)
		},
		Differs: func(name, how string) { _, _ = fmt.Fprintf(cmd.OutOrStdout(), "%s: %s\n", name, how) },
	})
	cmd.Println(summaryOf(totals))
	switch {
	case err != nil:
		return fmt.Errorf("the import was not completed, and can be continued: %w", err)
	case o.compare && totals.Different+totals.Missing > 0:
		return &exit{exitDamaged}
	}
	return nil
}

func summaryOf(t migrate.Totals) string {
	return fmt.Sprintf(
		"%d results, %d runs, %d other records, %d logs; %d stored, %d there already, %d other in the archive, %d missing, %d bytes stored",
		t.Results, t.Runs, t.Records, t.Logs, t.Stored, t.There, t.Different, t.Missing, t.Bytes)
}

// source opens the source of the import.
func (o *importOptions) source(ctx context.Context) (migrate.Source, func(), error) {
	var api *migrate.API
	closeAPI := func() {}
	if o.api != "" {
		connection, err := o.connect()
		if err != nil {
			return nil, nil, err
		}
		api, closeAPI = migrate.NewAPI(connection), func() { _ = connection.Close() }
	}
	switch {
	case o.postgres != "":
		database, err := migrate.OpenDatabase(ctx, o.postgres)
		if err != nil {
			closeAPI()
			return nil, nil, err
		}
		database.Folder, database.Logs = o.logs, api
		return database, func() { _ = database.Close(); closeAPI() }, nil
	case api != nil:
		return api, closeAPI, nil
	}
	return nil, nil, &usageError{errors.New("--api or --postgres is required: where to import from")}
}

// bind binds the archive to this cluster. It fails if the archive belongs to another one.
func (c *common) bind(ctx context.Context, a *archive, by string) error {
	config, err := c.restConfig()
	if err != nil {
		return err
	}
	kube, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	kubeSystem, err := kubeSystemOf(ctx, kube)
	if err != nil {
		return err
	}
	host, _ := os.Hostname()
	return identity.Bind(ctx, a.store, a.cluster, kubeSystem, by+" on "+host, time.Now())
}
