// Package archive has no code; it tells how the packages of the archive work together.
//
//	run         a run as the API server returned it; stay: how long it stays in the cluster
//	observed    watches the cluster; podlog follows logs while steps run
//	controller  decides which run is next, and what waits and why
//	archiver    archives a run, a file per phase (its doc.go has the life of a run)
//	layout      all keys in the store
//	manifest    packs the parts of a run, and its commit
//	store       the bytes: a directory or an object store; numbered: small mutable documents in it
//	identity    which cluster an archive belongs to
//	index       a database that finds runs without reading the store
//	catalogue   copies the commits of an hour into one object, to rebuild an index from
//	object      what tools write: Results, Records and Logs, in generations
//	migrate     import from a Tekton Results, and export to one
//	retention   deletes what policies say, and what killed writers left; holds
//	fsck        compares all of it
//
// The query API serves the archive as Tekton Results does; query has the interfaces between:
//
//	query/api     puts the parts together, and serves them
//	query/server  gRPC and REST: validation, permissions, partial responses, logs
//	query/access  asks the API server who a caller is, and what it may do
//	query/engine  answers reads from the index; query/filter evaluates filters
//	query/writer  stores what tools write: object first, then index
//	query/live    reads logs of runs that are not archived yet from the cluster
//
// A run is protected by a finalizer from its creation (pkg/admission/protect). When it is finished,
// archiver reads it with its logs and events, stores the parts, and then the commit: with it, the
// run is archived. Then it adds a row to the index and removes the finalizer, and the run may be
// deleted.
//
// Imports go one way: layout and store know nothing about runs; manifest builds on them; catalogue,
// index, object, migrate, retention and fsck on manifest; archiver and controller on these; query
// on manifest, object and index, and not on archiver or controller. Only archiver, controller,
// observed, podlog, run, query/access and query/live access the cluster; query/api connects the
// last two to it.
package archive
