// Package archive is where finished runs go: it has no code, and tells how its packages belong together.
//
// A run is protected by a finalizer when it is created (pkg/admission/protect). When it has finished, archiver reads it live, with the logs
// of its steps and its events; manifest packs each part and says, in a commit, what there is of it and how much; layout has the
// keys; store keeps the bytes. The commit is written last, and from then on the run is in the archive. index finds it without reading
// the bucket. Then the finalizer goes, and the run may be deleted.
//
// Later, catalogue copies the commits of an hour into one object, so that an index can be made from nothing; retention deletes
// what policies say, and what was left by writers that were killed; fsck compares all of it.
//
// Imports go one way: layout and store know nothing of runs; manifest builds on them; catalogue, index, retention and fsck on
// manifest; archiver on all, and only it and fsck's caller know of a cluster.
package archive
