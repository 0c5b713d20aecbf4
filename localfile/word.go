package localfile

import "strings"

// Word is a path as one word of a shell, for commands that people are told to copy: the names in it are not always theirs.
func Word(path string) string {
	if strings.HasPrefix(path, "-") {
		path = "./" + path // not an option
	}
	if path != "" && strings.Trim(path, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-+,:@%=") == "" {
		return path
	}
	return "'" + strings.ReplaceAll(path, "'", `'\''`) + "'"
}
