package index

var objectsTable = table{name: "indelible_objects", columns: []string{
	"id", "scope", "kind", "result", "name", "uid", "generation", "object_key", "created", "micros", "committed", "grp",
	"started", "completed", "pipeline", "repository", "flags", "type", "data",
}}

var (
	runsTable = table{name: "indelible_runs", columns: []string{
		"cluster", "namespace", "name", "uid", "api_version", "kind", "result", "status", "reason", "created",
		"completed", "committed", "manifest", "parent",
		"id", "grp", "started", "pipeline", "repository", "flags",
	}}
	recordsTable = table{name: "indelible_records", columns: []string{"id", "spec", "data"}}
	labelsTable  = table{name: "indelible_labels", columns: []string{"label", "created", "run", "grp"},
		conflict: " ON CONFLICT DO NOTHING"}
	resultsTable = table{
		name: "indelible_results", columns: []string{"scope", "name", "created", "updated", "runs", "root", "root_at",
			"object"},
		conflict: ` ON CONFLICT (scope, name) DO UPDATE SET
			created = CASE WHEN excluded.created < indelible_results.created THEN excluded.created ELSE indelible_results.created END,
			updated = CASE WHEN excluded.updated > indelible_results.updated THEN excluded.updated ELSE indelible_results.updated END,
			runs = indelible_results.runs + excluded.runs,
			root = CASE WHEN excluded.root_at > indelible_results.root_at THEN excluded.root ELSE indelible_results.root END,
			root_at = CASE WHEN excluded.root_at > indelible_results.root_at THEN excluded.root_at ELSE indelible_results.root_at END`,
	}
	rollupsTable = table{
		name: "indelible_rollups", columns: []string{"grp", "span", "at", "runs", "logs", "events", "timed", "days",
			"seconds", "shortest", "longest", "started"},
		conflict: ` ON CONFLICT (grp, span, at) DO UPDATE SET
			runs = indelible_rollups.runs + excluded.runs, logs = indelible_rollups.logs + excluded.logs, events = indelible_rollups.events + excluded.events,
			timed = indelible_rollups.timed + excluded.timed, days = indelible_rollups.days + excluded.days, seconds = indelible_rollups.seconds + excluded.seconds,
			shortest = CASE WHEN indelible_rollups.shortest < excluded.shortest THEN indelible_rollups.shortest ELSE coalesce(excluded.shortest, indelible_rollups.shortest) END,
			longest = CASE WHEN indelible_rollups.longest > excluded.longest THEN indelible_rollups.longest ELSE coalesce(excluded.longest, indelible_rollups.longest) END,
			started = CASE WHEN indelible_rollups.started > excluded.started THEN indelible_rollups.started ELSE coalesce(excluded.started, indelible_rollups.started) END`,
	}
)
