package config

import (
	"fmt"
	"slices"
)

// keep reads a list of policies, or the short form: how long all runs stay.
func (r *reader) keep(path string, v any) []Keep {
	if items, ok := v.([]any); ok {
		policies := make([]Keep, 0, len(items))
		for i, item := range items {
			at := fmt.Sprintf("%s[%d]", path, i)
			p := r.keepPolicy(at, item)
			if p.Name != "" && slices.ContainsFunc(policies, func(other Keep) bool { return other.Name == p.Name }) {
				r.problem(at+".name", "is already the name of another policy")
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
		r.problem(path, "must be %s, a duration such as 0s, 12h or 30d, at most %dd, or a list of policies", forever,
			MaxAge/day)
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
		r.problem(at+".last", "has no effect with for: %s", forever)
	}
	r.namespaces(&p.Namespaces, at+".namespaces", fields["namespaces"])
	r.selector(&p.Selector, at+".selector", fields["selector"])
	r.status(&p.Status, at+".status", fields["status"])
	if len(r.problems) == before && fields["for"] == nil && fields["last"] == nil {
		r.problem(at, "must say for how long runs stay, or how many of the last")
	}
	return p
}
