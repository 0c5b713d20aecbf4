package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// vault keeps the supervisor's only secrets, passphrases that were typed, in memory that is neither swapped nor dumped. They come into
// it straight from a pipe and leave it straight into a socket: Go's memory never has a copy, which nobody could wipe.
type vault struct {
	all []byte // whole pages
	mem []byte // what is kept in them
}

// vaultRoom bounds what a vault holds, and what a pipe takes without a reader.
const vaultRoom = 64 << 10

// fillVault reads a pipe to its end.
func fillVault(pipe *os.File) (*vault, error) {
	all, err := unix.Mmap(-1, 0, vaultRoom, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		return nil, fmt.Errorf("memory for passphrases: %w", err)
	}
	v := &vault{all: all}
	if err := unix.Madvise(all, unix.MADV_DONTDUMP); err != nil {
		v.close()
		return nil, fmt.Errorf("keep passphrases out of dumps: %w", err)
	}
	if err := v.fill(int(pipe.Fd())); err != nil {
		v.close()
		return nil, err
	}
	return v, nil
}

// fill reads, and locks page by page: what a user may lock is little on some machines.
func (v *vault) fill(pipe int) error {
	if err := unix.SetNonblock(pipe, false); err != nil {
		return fmt.Errorf("passphrases: %w", err)
	}
	for n, locked := 0, 0; ; {
		if n == locked {
			if n == len(v.all) {
				return errTooLong
			}
			page := v.all[n : n+os.Getpagesize()]
			if err := unix.Mlock(page); err != nil {
				return fmt.Errorf("lock memory for passphrases: %w", err)
			}
			locked += len(page)
		}
		k, err := unix.Read(pipe, v.all[n:locked])
		switch {
		case errors.Is(err, unix.EINTR):
		case err != nil:
			return fmt.Errorf("passphrases: %w", err)
		case k == 0:
			v.mem = v.all[:n]
			return nil
		default:
			n += k
		}
	}
}

// errTooLong says that a vault, or a pipe, cannot take all that was typed.
var errTooLong = errors.New("the passphrases are too long")

// cutLine takes the first line, which holds no secret.
func (v *vault) cutLine() []byte {
	line, rest, _ := bytes.Cut(v.mem, []byte("\n"))
	v.mem = rest
	return line
}

// close wipes and returns the memory.
func (v *vault) close() {
	if v == nil || v.all == nil {
		return
	}
	clear(v.all)
	_ = unix.Munmap(v.all) // it is wiped, and goes with the process at the latest
	v.all, v.mem = nil, nil
}

// Format keeps the content out of messages.
func (v *vault) Format(f fmt.State, _ rune) { fmt.Fprint(f, "vault(redacted)") }
