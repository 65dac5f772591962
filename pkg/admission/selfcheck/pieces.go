package selfcheck

// Names of what is installed: config/webhook and config/rbac.
const (
	guardConfiguration = "indelible-guard"
	guardWebhook       = "guard.indelible.dev"
	elsewhereWebhook   = "guard-elsewhere.indelible.dev"
	grantName          = "indelible-publish-results"
)

// Policies are the ValidatingAdmissionPolicies that must be in place, each with a ValidatingAdmissionPolicyBinding of
// the same name. They are those of config/policy; the webhook's ClusterRole lets it read them by name.
var Policies = []string{"indelible-results", "indelible-pods"}

// A piece is one object without which the grant is unguarded. As text, and as the metric's label, it is "kind/name".
type piece struct{ kind, name string }

func (p piece) String() string { return p.kind + "/" + p.name }

const (
	kindGuard   = "MutatingWebhookConfiguration"
	kindPolicy  = "ValidatingAdmissionPolicy"
	kindBinding = "ValidatingAdmissionPolicyBinding"
)

// pieces lists everything that must be in place.
func pieces() []piece {
	all := []piece{{kindGuard, guardConfiguration}}
	for _, name := range Policies {
		all = append(all, piece{kindPolicy, name}, piece{kindBinding, name})
	}
	return all
}

// apply is the command that puts a piece back.
func (p piece) apply() string {
	if p.kind == kindGuard {
		return "kubectl apply -k config/webhook"
	}
	return "kubectl apply -k config/policy"
}

// revoke is the command that takes the grant away, from single namespaces as well: their bindings are to the ClusterRole.
const revoke = "kubectl delete -k config/rbac --ignore-not-found"

// A gap is a piece that is missing, or of which something is wrong.
type gap struct {
	piece piece
	why   string
}

func (g gap) String() string { return g.piece.String() + " " + g.why }
