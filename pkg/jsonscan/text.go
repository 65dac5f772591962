package jsonscan

import (
	"encoding/json"
	"fmt"
	"unicode/utf16"
	"unicode/utf8"
)

// escapeLen returns the length of the escape sequence at the beginning of data, 0 if it is invalid.
func escapeLen(data []byte) int {
	if len(data) < 2 {
		return 0
	}
	switch data[1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return 2
	case 'u':
		if len(data) < 6 {
			return 0
		}
		for _, c := range data[2:6] {
			if !isHex(c) {
				return 0
			}
		}
		return 6
	}
	return 0
}

func isHex(c byte) bool {
	return isDigit(c) || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}

// DecodeText decodes a JSON string that the scanner has accepted.
func DecodeText(raw []byte) (string, error) {
	if utf8.Valid(raw) {
		return string(appendText(make([]byte, 0, len(raw)), raw[1:len(raw)-1])), nil
	}
	var text string // encoding/json replaces invalid UTF-8
	if err := json.Unmarshal(raw, &text); err != nil {
		return "", fmt.Errorf("decode a string: %w", err)
	}
	return text, nil
}

// appendText appends the decoded form of the text between two quotes.
func appendText(decoded, text []byte) []byte {
	for len(text) > 0 {
		n := plainLen(text)
		decoded, text = append(decoded, text[:n]...), text[n:]
		if len(text) > 0 {
			decoded, n = AppendEscape(decoded, text)
			text = text[n:]
		}
	}
	return decoded
}

// AppendEscape appends the decoded form of the escape at the beginning of text, and returns the
// escape's length. Half a surrogate pair decodes to U+FFFD, as in encoding/json.
func AppendEscape(decoded, text []byte) ([]byte, int) {
	switch c := text[1]; c {
	case 'b':
		return append(decoded, '\b'), 2
	case 'f':
		return append(decoded, '\f'), 2
	case 'n':
		return append(decoded, '\n'), 2
	case 'r':
		return append(decoded, '\r'), 2
	case 't':
		return append(decoded, '\t'), 2
	case 'u':
		r := codeUnit(text)
		if len(text) >= 12 && text[6] == '\\' && text[7] == 'u' {
			if pair := utf16.DecodeRune(r, codeUnit(text[6:])); pair != utf8.RuneError {
				return utf8.AppendRune(decoded, pair), 12
			}
		}
		return utf8.AppendRune(decoded, r), 6
	default:
		return append(decoded, c), 2
	}
}

// EscapeSize returns the length of the escape at the beginning of text, and that of its decoded
// form in UTF-8.
func EscapeSize(text []byte) (written, decoded int) {
	if text[1] != 'u' {
		return 2, 1
	}
	switch r := codeUnit(text); {
	case r < 0x80:
		return 6, 1
	case r < 0x800:
		return 6, 2
	case r >= 0xD800 && r < 0xDC00 && len(text) >= 12 && text[6] == '\\' && text[7] == 'u':
		if low := codeUnit(text[6:]); low >= 0xDC00 && low < 0xE000 {
			return 12, 4
		}
	}
	return 6, 3 // also half a surrogate pair, which decodes to U+FFFD
}

// codeUnit reads the four hexadecimal digits of \uXXXX.
func codeUnit(text []byte) rune {
	n := rune(0)
	for _, c := range text[2:6] {
		switch {
		case isDigit(c):
			n = n<<4 | rune(c-'0')
		default:
			n = n<<4 | rune(c|0x20-'a'+10)
		}
	}
	return n
}
