package config

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/labels"
)

// everything reports whether a policy, apart from its age, may match every run.
func (p *Retention) everything() bool {
	return !p.DeletedNamespaces && p.Selector == "" &&
		(len(p.Namespaces) == 0 || slices.ContainsFunc(p.Namespaces,
			func(glob string) bool { return strings.Trim(glob, "*") == "" })) &&
		(len(p.Status) == 0 || len(p.Status) == len(statuses))
}

func (r *reader) retention(to *[]Retention, path string, v any) {
	var policies []Retention
	for i, item := range r.list(path, v) {
		at := fmt.Sprintf("%s[%d]", path, i)
		p := r.policy(at, item)
		if p.Name != "" && slices.ContainsFunc(policies, func(other Retention) bool { return other.Name == p.Name }) {
			r.problem(at+".name", "is already the name of another policy")
		}
		policies = append(policies, p)
	}
	*to = policies
}

func (r *reader) policy(at string, v any) Retention {
	var p Retention
	before := len(r.problems)
	fields := r.object(at, v, "name", "after", "namespaces", "deletedNamespaces", "selector", "status")
	if fields["name"] == nil {
		r.problem(at+".name", "is required: logs and metrics name the policy that deletes")
	}
	r.label(&p.Name, at+".name", fields["name"])
	r.after(&p.After, at+".after", fields["after"])
	r.namespaces(&p.Namespaces, at+".namespaces", fields["namespaces"])
	if v := fields["deletedNamespaces"]; v != nil {
		yes, ok := v.(bool)
		if !ok {
			r.problem(at+".deletedNamespaces", "must be true or false")
		}
		p.DeletedNamespaces = yes
	}
	r.selector(&p.Selector, at+".selector", fields["selector"])
	r.status(&p.Status, at+".status", fields["status"])
	if len(r.problems) == before && p.After == 0 && p.everything() {
		r.problem(at, "would delete every run as soon as it is archived: say after which time, or which runs")
	}
	return p
}

func (r *reader) after(to *time.Duration, path string, v any) {
	if v == nil {
		return
	}
	d, ok := parseAge(v)
	if !ok || d == 0 {
		r.problem(path, "must be a duration such as 12h or 90d, more than 0 and at most %dd", MaxAge/day)
		return
	}
	*to = d
}

// glob matches patterns that can match a namespace's name; with a capital letter or a slash they
// never would.
var glob = regexp.MustCompile(`^[a-z0-9*?\[\]^-]{1,253}$`)

// namespaces must not be empty: it would be unclear whether that means none or all.
func (r *reader) namespaces(to *[]string, at string, v any) {
	for i, item := range r.words(at, v) {
		if _, err := path.Match(item, ""); err != nil || !glob.MatchString(item) {
			r.problem(fmt.Sprintf("%s[%d]", at, i),
				"must be the name of a namespace, in which * stands for any characters, ? for one and [ab] for one of some")
		}
		*to = append(*to, item)
	}
}

func (r *reader) status(to *[]string, at string, v any) {
	for i, item := range r.words(at, v) {
		switch where := fmt.Sprintf("%s[%d]", at, i); {
		case !slices.Contains(statuses, item):
			r.problem(where, "must be one of %s", strings.Join(statuses, ", "))
		case slices.Contains(*to, item):
			r.problem(where, "is already in the list")
		default:
			*to = append(*to, item)
		}
	}
}

// words returns the strings of a non-empty list, nil if v is missing.
func (r *reader) words(at string, v any) []string {
	if v == nil {
		return nil
	}
	items, ok := v.([]any)
	words := make([]string, 0, len(items))
	for _, item := range items {
		word, isText := item.(string)
		ok = ok && isText
		words = append(words, word)
	}
	if !ok || len(words) == 0 {
		r.problem(at, "must be a list of at least one string")
		return nil
	}
	return words
}

// selector must not be empty, and have the syntax of kubectl's.
func (r *reader) selector(to *string, path string, v any) {
	if v == nil {
		return
	}
	s, ok := v.(string)
	parsed, err := labels.Parse(s)
	if !ok || err != nil || parsed.Empty() {
		r.problem(path, "must be a label selector such as app=shop,tier in (test, trial)")
		return
	}
	*to = s
}
