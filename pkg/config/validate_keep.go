package config

import (
	"fmt"
	"slices"
	"time"
)

// MaxLast is more runs of one Pipeline than anybody looks through in a cluster.
const MaxLast = 10000

// Keep is one policy of what stays in the cluster.
type Keep struct {
	// Name is for logs; of the short form it is keep.
	Name string
	// For is how long a run stays after it was archived, at least; Forever, that it stays.
	For     time.Duration
	Forever bool
	// Last is how many runs of each Pipeline or Task stay, however old they are, in each namespace; 0 if the policy does not say.
	Last int
	// Namespaces are globs, as package path matches them, of which one must match.
	Namespaces []string
	// Selector is a label selector as kubectl takes it; "" if the policy does not say.
	Selector string
	// Status lists how runs ended, each one of the Status constants; nil if the policy does not say.
	Status []string
}

// keep reads policies, or the short form: how long all runs stay.
func (r *reader) keep(path string, v any) []Keep {
	if items, ok := v.([]any); ok {
		policies := make([]Keep, 0, len(items))
		for i, item := range items {
			at := fmt.Sprintf("%s[%d]", path, i)
			p := r.keepPolicy(at, item)
			if p.Name != "" && slices.ContainsFunc(policies, func(other Keep) bool { return other.Name == p.Name }) {
				r.problem(at+".name", "is the name of another policy already")
			}
			policies = append(policies, p)
		}
		if len(items) == 0 {
			r.problem(path, "must not be an empty list: say %s if all runs are to stay", forever)
		}
		return policies
	}
	if v == nil || v == forever {
		return nil
	}
	d, ok := parseAge(v)
	if !ok {
		r.problem(path, "must be %s, a duration such as 0s, 12h or 30d, at most %dd, or a list of policies", forever, MaxAge/day)
	}
	return []Keep{{Name: "keep", For: d}}
}

func (r *reader) keepPolicy(at string, v any) Keep {
	var p Keep
	before := len(r.problems)
	fields := r.object(at, v, "name", "for", "last", "namespaces", "selector", "status")
	if fields["name"] == nil {
		r.problem(at+".name", "is required: logs name the policy by which a run leaves")
	}
	r.label(&p.Name, at+".name", fields["name"])
	if p.Forever = fields["for"] == forever; !p.Forever && fields["for"] != nil {
		var ok bool
		if p.For, ok = parseAge(fields["for"]); !ok {
			r.problem(at+".for", "must be %s or a duration such as 0s, 12h or 30d, at most %dd", forever, MaxAge/day)
		}
	}
	r.whole(&p.Last, at+".last", fields["last"], 1, MaxLast)
	if p.Forever && fields["last"] != nil {
		r.problem(at+".last", "says nothing beside for: %s", forever)
	}
	r.namespaces(&p.Namespaces, at+".namespaces", fields["namespaces"])
	r.selector(&p.Selector, at+".selector", fields["selector"])
	r.status(&p.Status, at+".status", fields["status"])
	if len(r.problems) == before && fields["for"] == nil && fields["last"] == nil {
		r.problem(at, "must say for how long runs stay, or how many of the last")
	}
	return p
}
