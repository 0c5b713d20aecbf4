package main

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// vault keeps the supervisor's only secrets, passphrases that were typed, in memory that is neither swapped nor dumped.
type vault struct{ mem []byte }

// newVault takes over a copy of secret and wipes the original.
func newVault(secret []byte) (*vault, error) {
	defer clear(secret)
	mem, err := unix.Mmap(-1, 0, max(len(secret), 1), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		return nil, fmt.Errorf("memory for passphrases: %w", err)
	}
	v := &vault{mem: mem}
	if err := unix.Mlock(mem); err != nil {
		v.close()
		return nil, fmt.Errorf("lock memory for passphrases: %w", err)
	}
	if err := unix.Madvise(mem, unix.MADV_DONTDUMP); err != nil {
		v.close()
		return nil, fmt.Errorf("keep passphrases out of dumps: %w", err)
	}
	v.mem = mem[:copy(mem, secret)]
	return v, nil
}

// close wipes and returns the memory.
func (v *vault) close() {
	if v == nil || v.mem == nil {
		return
	}
	mem := v.mem[:cap(v.mem)]
	clear(mem)
	_ = unix.Munmap(mem) // it is wiped, and goes with the process at the latest
	v.mem = nil
}

// Format keeps the content out of messages.
func (v *vault) Format(f fmt.State, _ rune) { fmt.Fprint(f, "vault(redacted)") }
