package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"

	"golang.org/x/sys/unix"
)

// A mount has two processes. The supervisor owns what must outlive a crash: the kernel's side of the mount, the control socket,
// and passphrases that were typed. The daemon does everything else, and is started again when it dies. They talk over a socket,
// one JSON message per packet, with descriptors beside it:
//
//	supervisor → daemon   hello     who the daemon is; the ready pipe (first life), or control socket and device (later lives)
//	                      (bytes)   one packet: the passphrases
//	                      device    answers mount: the kernel's first request; control socket and device
//	                      serve     answers reply
//	                      checked   answers upgrade, with an error when that binary cannot take over
//	                      end       how often the supervisor was asked to end, by signals
//	daemon → supervisor   mount     cache and bucket are open: mount
//	                      reply     what the kernel's first request is answered
//	                      ready     the mount answers
//	                      steady    it has done so for a while
//	                      upgrade   can another binary take over?
//	                      handover  the daemon ends, and that binary shall go on
//	                      ending    the mount ends; no daemon shall follow
//
// A binary that is asked whether it can take over gets check, with the kernel's first request, and answers settings.
const (
	msgHello    = "hello"
	msgDevice   = "device"
	msgServe    = "serve"
	msgChecked  = "checked"
	msgEnd      = "end"
	msgMount    = "mount"
	msgReply    = "reply"
	msgReady    = "ready"
	msgSteady   = "steady"
	msgUpgrade  = "upgrade"
	msgHandover = "handover"
	msgEnding   = "ending"
	msgCheck    = "check"
	msgSettings = "settings"
)

// linkProtocol is the version of these messages: the two processes may be of different releases.
const linkProtocol = 1

// maxPacket bounds a message in bytes.
const maxPacket = 128 << 10

// message is one of the above.
type message struct {
	Kind     string `json:"kind"`
	Protocol int    `json:"protocol,omitempty"`

	Life       uint16  `json:"life,omitempty"`
	Background bool    `json:"background,omitempty"`
	Dir        string  `json:"dir,omitempty"`    // the mount point
	Number     uint64  `json:"number,omitempty"` // of the mount's device; missing from supervisors of earlier releases
	Record     *record `json:"record,omitempty"`
	RecordName string  `json:"record_name,omitempty"`
	RecordDir  string  `json:"record_dir,omitempty"`
	Health     health  `json:"health,omitzero"`
	Init       []byte  `json:"init,omitempty"`
	Reply      []byte  `json:"reply,omitempty"`
	Ends       int     `json:"ends,omitempty"`

	Executable string `json:"executable,omitempty"` // upgrade

	Version string `json:"version,omitempty"` // settings, checked
	Index   string `json:"index,omitempty"`   // format of the index that the binary writes

	Error string   `json:"error,omitempty"`
	Code  int      `json:"code,omitempty"`
	Hints []string `json:"hints,omitempty"`
}

// health is what the supervisor knows of the daemon's fate, for `ossencfs status`.
type health struct {
	Restarts int    `json:"restarts"`           // after crashes
	Upgrades int    `json:"upgrades"`           // to another binary
	Mortal   string `json:"mortal,omitempty"`   // why the mount does not survive a crash of its daemon
	Last     string `json:"last_end,omitempty"` // how the daemon before this one ended
	Kept     string `json:"kept_old,omitempty"` // why the last upgrade failed and the old binary goes on
}

// text is the line of `ossencfs status`.
func (h *health) text(pid int, version string) string {
	line := fmt.Sprintf("pid %d, version %s", pid, version)
	if h.Restarts > 0 {
		line += fmt.Sprintf("; started again %d times, the last one %s", h.Restarts, h.Last)
	}
	if h.Upgrades > 0 {
		line += fmt.Sprintf("; upgraded %d times", h.Upgrades)
	}
	if h.Kept != "" {
		line += "; the program of the last upgrade " + h.Kept
	}
	if h.Mortal != "" {
		line += "; the mount does not survive it: " + h.Mortal
	}
	return line
}

// failed is the error that a message carries, nil for none.
func (m *message) failed() error {
	if m.Error == "" {
		return nil
	}
	return fail(m.Code, errors.New(m.Error), m.Hints...)
}

// setError puts an error into a message.
func (m *message) setError(err error) {
	f := explain(err)
	m.Error, m.Code, m.Hints = f.Error(), f.code, f.hints
}

// link is one end of the socket.
type link struct{ conn *net.UnixConn }

// newLink makes a socket; the file is the daemon's end.
func newLink() (*link, *os.File, error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("socketpair: %w", err)
	}
	theirs := os.NewFile(uintptr(pair[1]), "link")
	l, err := openLink(os.NewFile(uintptr(pair[0]), "link"))
	if err != nil {
		return nil, nil, errors.Join(err, theirs.Close())
	}
	return l, theirs, nil
}

// openLink uses an end of a socket, and closes the file.
func openLink(f *os.File) (*link, error) {
	defer f.Close()
	conn, err := net.FileConn(f)
	if err != nil {
		return nil, fmt.Errorf("link: %w", err)
	}
	socket, ok := conn.(*net.UnixConn)
	if !ok {
		return nil, errors.Join(errors.New("link: not a unix socket"), conn.Close())
	}
	return &link{socket}, nil
}

// send sends a message and descriptors.
func (l *link) send(m message, fds ...int) error {
	raw, err := json.Marshal(m)
	if err != nil {
		return err
	}
	return l.sendRaw(raw, fds...)
}

func (l *link) sendRaw(raw []byte, fds ...int) error {
	var rights []byte
	if len(fds) > 0 {
		rights = unix.UnixRights(fds...)
	}
	if _, _, err := l.conn.WriteMsgUnix(raw, rights, nil); err != nil {
		return fmt.Errorf("link: %w", err)
	}
	return nil
}

// receive waits for a message. io.EOF says that the other process has ended.
func (l *link) receive() (message, []*os.File, error) {
	raw, files, err := l.receiveRaw()
	if err != nil {
		return message{}, nil, err
	}
	var m message
	if err := json.Unmarshal(raw, &m); err != nil {
		return message{}, nil, fmt.Errorf("link: %w", err)
	}
	return m, files, nil
}

func (l *link) receiveRaw() ([]byte, []*os.File, error) {
	raw, control := make([]byte, maxPacket), make([]byte, unix.CmsgSpace(4*4))
	n, rights, flags, _, err := l.conn.ReadMsgUnix(raw, control)
	if err != nil || n == 0 {
		return nil, nil, errors.Join(io.EOF, err)
	}
	if flags&(unix.MSG_TRUNC|unix.MSG_CTRUNC) != 0 {
		return nil, nil, errors.New("link: a message is too long")
	}
	messages, err := unix.ParseSocketControlMessage(control[:rights])
	if err != nil {
		return nil, nil, fmt.Errorf("link: %w", err)
	}
	var files []*os.File
	for i := range messages {
		fds, err := unix.ParseUnixRights(&messages[i])
		if err != nil {
			return nil, nil, fmt.Errorf("link: %w", err)
		}
		for _, fd := range fds {
			files = append(files, os.NewFile(uintptr(fd), "received"))
		}
	}
	return raw[:n], files, nil
}

func (l *link) close() error { return l.conn.Close() }
