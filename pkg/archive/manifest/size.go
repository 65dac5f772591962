package manifest

// Bytes returns how many bytes of MaxCommit a commit takes, as itself or bare, whichever is more:
// the index and segments have bare ones, which have a digest for each text that is not there.
func (c *Commit) Bytes() (int, error) {
	whole, err := c.withoutSums().marshal()
	if err != nil {
		return 0, err
	}
	bare, err := c.Bare().marshal()
	return max(len(whole), len(bare)), err
}

// MaxInlineDepth bounds how deeply embedded JSON is nested. JSON decoders have a limit, Go's 10,000
// levels, and a commit adds three to that of its record, so that a run which the API server accepts
// would make a commit that nobody can read. People's runs have ten levels.
const MaxInlineDepth = 250

// FitsInline reports whether JSON may be embedded. It is larger or deeper otherwise, and is to be
// an object of its own.
func FitsInline(content []byte) bool {
	return len(content) <= MaxInline && depthOf(content) <= MaxInlineDepth
}

// depthOf returns how deeply a valid JSON value is nested.
func depthOf(content []byte) int {
	depth, deepest, inString := 0, 0, false
	for i := 0; i < len(content); i++ {
		switch b := content[i]; {
		case inString && b == '\\':
			i++ // whatever is escaped
		case b == '"':
			inString = !inString
		case inString:
		case b == '{', b == '[':
			depth++
			deepest = max(deepest, depth)
		case b == '}', b == ']':
			depth--
		}
	}
	return deepest
}
