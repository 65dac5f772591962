package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
)

// report prints what became of each rule and whether all is well.
func report(w io.Writer, outcomes []outcome) bool {
	killed, explained, survived, stale := 0, 0, 0, 0
	for _, o := range outcomes {
		reason, equivalent := equivalents[o.name]
		switch {
		case len(o.killers) > 0 && equivalent:
			stale++
			line(w, o, "KILLED by "+killers(o.killers)+", though equivalents.go says: "+reason)
		case len(o.killers) > 0:
			killed++
			line(w, o, killers(o.killers))
		case equivalent:
			explained++
			line(w, o, "changes nothing: "+reason)
		default:
			survived++
			line(w, o, "SURVIVED")
		}
	}
	_, _ = fmt.Fprintf(w,
		"\n%d rules taken away one at a time: %d missed by a test, %d change nothing (equivalents.go), "+
			"%d SURVIVED\n",
		len(outcomes), killed, explained, survived)
	if stale > 0 {
		_, _ = fmt.Fprintf(w, "%d in equivalents.go that a test misses: remove them there\n", stale)
	}
	return survived == 0 && stale == 0
}

func line(w io.Writer, o outcome, fate string) {
	_, _ = fmt.Fprintf(w, "%s  %s\n    %s\n", o.where, o.name, fate)
}

// killers names the first and counts the rest. Fuzz targets come last: a test with a sentence for a
// name says more.
func killers(names []string) string {
	names = slices.Clone(names)
	slices.SortStableFunc(names, func(a, b string) int { return fuzz(a) - fuzz(b) })
	if len(names) == 1 {
		return names[0]
	}
	return fmt.Sprintf("%s and %d more", names[0], len(names)-1)
}

func fuzz(name string) int {
	if strings.HasPrefix(name, "Fuzz") {
		return 1
	}
	return 0
}
