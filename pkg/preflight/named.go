package preflight

import (
	"regexp"
	"slices"
	"strings"

	admissionv1 "k8s.io/api/admissionregistration/v1"
)

// generated matches what config/transformers/controller writes into an expression. All of them have
// this form, and nothing else has.
var generated = regexp.MustCompile(`'([^']*)'\.split\(' '\)`)

// Named returns the users that expressions take for Tekton's controller, one list per place.
func Named(expressions ...string) [][]string {
	var places [][]string
	for _, e := range expressions {
		for _, match := range generated.FindAllStringSubmatch(e, -1) {
			places = append(places, strings.Fields(match[1]))
		}
	}
	return places
}

// NamedByGuard returns those in the match conditions.
func NamedByGuard(c *admissionv1.MutatingWebhookConfiguration) [][]string {
	var expressions []string
	for _, w := range c.Webhooks {
		for _, condition := range w.MatchConditions {
			expressions = append(expressions, condition.Expression)
		}
	}
	return Named(expressions...)
}

// NamedByPolicy returns those in the variables and match conditions.
func NamedByPolicy(p *admissionv1.ValidatingAdmissionPolicy) [][]string {
	var expressions []string
	for _, v := range p.Spec.Variables {
		expressions = append(expressions, v.Expression)
	}
	for _, condition := range p.Spec.MatchConditions {
		expressions = append(expressions, condition.Expression)
	}
	return Named(expressions...)
}

// Lacking returns the first place that names none of the users, false if there is none.
func Lacking(places [][]string, users []string) ([]string, bool) {
	for _, named := range places {
		if !slices.ContainsFunc(users, func(u string) bool { return slices.Contains(named, u) }) {
			return named, true
		}
	}
	return nil, false
}
