package selfcheck

// Names of installed objects: config/webhook and config/rbac.
const (
	guardConfiguration = "indelible-guard"
	guardWebhook       = "guard.indelible.dev"
	elsewhereWebhook   = "guard-elsewhere.indelible.dev"
	grantName          = "indelible-publish-results"
)

// Policies are the required ValidatingAdmissionPolicies, each with a
// ValidatingAdmissionPolicyBinding of the same name: those of config/policy. The webhook's
// ClusterRole lets it read them by name.
var Policies = []string{"indelible-results", "indelible-pods"}

// A piece is an object without which the grant is unguarded. Its text form, also the metric's
// label, is "kind/name".
type piece struct{ kind, name string }

func (p piece) String() string { return p.kind + "/" + p.name }

const (
	kindGuard   = "MutatingWebhookConfiguration"
	kindPolicy  = "ValidatingAdmissionPolicy"
	kindBinding = "ValidatingAdmissionPolicyBinding"
)

// pieces lists all required pieces.
func pieces() []piece {
	all := []piece{{kindGuard, guardConfiguration}}
	for _, name := range Policies {
		all = append(all, piece{kindPolicy, name}, piece{kindBinding, name})
	}
	return all
}

// apply is the command that restores a piece.
func (p piece) apply() string {
	if p.kind == kindGuard {
		return "kubectl apply -k config/webhook"
	}
	return "kubectl apply -k config/policy"
}

// revoke is the command that removes the grant, in single namespaces as well: their bindings refer
// to the ClusterRole.
const revoke = "kubectl delete -k config/rbac --ignore-not-found"

// A gap is a piece that is missing or wrong.
type gap struct {
	piece piece
	why   string
}

func (g gap) String() string { return g.piece.String() + " " + g.why }
