//go:build interop

package interop

import (
	"fmt"
	"strings"
	"testing"
)

// matrix collects outcomes and prints them as a table.
type matrix struct {
	title   string
	columns []string
	rows    []string
	cells   map[string]string
}

func newMatrix(title string, columns []string) *matrix {
	return &matrix{title: title, columns: columns, cells: map[string]string{}}
}

func (m *matrix) set(row, column, value string) {
	if len(m.rows) == 0 || m.rows[len(m.rows)-1] != row {
		m.rows = append(m.rows, row)
	}
	m.cells[row+"\x00"+column] = value
}

func (m *matrix) print(t *testing.T) {
	t.Helper()
	var b strings.Builder
	fmt.Fprintf(&b, "\n%s\n%-22s", m.title, "")
	for _, c := range m.columns {
		fmt.Fprintf(&b, " | %s", c)
	}
	for _, r := range m.rows {
		fmt.Fprintf(&b, "\n%-22s", r)
		for _, c := range m.columns {
			fmt.Fprintf(&b, " | %-*s", len(c), m.cells[r+"\x00"+c])
		}
	}
	t.Log(b.String())
}

func payloadNames(files []payload) []string {
	var names []string
	for _, p := range files {
		names = append(names, p.name)
	}
	return names
}
