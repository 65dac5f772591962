package node

import (
	"regexp"
	"strings"
)

// ownChain matches the chains that the kubelet, kube-proxy and the CNI plugins make.
var ownChain = regexp.MustCompile(`^(KUBE-|CNI-)`)

// ours says whether a line of iptables-save is a chain or a rule of the cluster: one of its chains,
// a rule in one, a jump to one, or a rule with our comment.
func ours(line string) bool {
	if chain, found := strings.CutPrefix(line, ":"); found {
		return ownChain.MatchString(chain)
	}
	fields := strings.Fields(line)
	if len(fields) < 2 || fields[0] != "-A" {
		return false
	}
	if ownChain.MatchString(fields[1]) {
		return true
	}
	for i := 0; i+1 < len(fields); i++ {
		jump := fields[i] == "-j" || fields[i] == "-g"
		if jump && ownChain.MatchString(fields[i+1]) {
			return true
		}
		if fields[i] == "--comment" && fields[i+1] == ruleComment {
			return true
		}
	}
	return false
}

// removalOf turns the output of iptables-save into an input of iptables-restore --noflush that
// removes the cluster's chains and rules and touches nothing else. In each table: first the rules
// in other chains, then all of our chains are emptied (which naming them does), since they refer to
// each other, then they are deleted.
func removalOf(saved string) string {
	var result, table, chains, rules, deletions strings.Builder
	flush := func() {
		if chains.Len()+rules.Len() > 0 {
			result.WriteString(table.String() + chains.String() + rules.String() + deletions.String() + "COMMIT\n")
		}
		for _, part := range []*strings.Builder{&table, &chains, &rules, &deletions} {
			part.Reset()
		}
	}
	for _, line := range strings.Split(saved, "\n") {
		switch {
		case strings.HasPrefix(line, "*"):
			flush()
			table.WriteString(line + "\n")
		case !ours(line):
		case strings.HasPrefix(line, ":"):
			chain := strings.Fields(line[1:])[0]
			chains.WriteString(":" + chain + " - [0:0]\n")
			deletions.WriteString("-X " + chain + "\n")
		case !ownChain.MatchString(strings.Fields(line)[1]):
			rules.WriteString("-D" + strings.TrimPrefix(line, "-A") + "\n")
		}
	}
	flush()
	return result.String()
}

// rulesLeft lists the lines of iptables-save that are the cluster's.
func rulesLeft(saved string) []string {
	var left []string
	for _, line := range strings.Split(saved, "\n") {
		if ours(line) {
			left = append(left, line)
		}
	}
	return left
}
