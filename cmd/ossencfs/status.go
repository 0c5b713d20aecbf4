package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func statusCommand() *command {
	return &command{name: "status", usage: statusUsage, run: runStatus, options: []option{{name: "json", cli: true}, {name: "watch", cli: true}, {name: "check", cli: true}}}
}

func runStatus(ctx context.Context, c *call) error {
	if len(c.args) > 1 {
		return c.wantArgs("DIR")
	}
	dir := ""
	if len(c.args) == 1 {
		var err error
		if dir, err = resolveDir(c.args[0]); err != nil {
			return fail(exitMountPoint, err)
		}
	}
	r := c.read()
	asJSON, watch := r.is("json"), r.is("watch")
	if r.err != nil {
		return r.err
	}
	if r.is("check") {
		return c.checkStatus(ctx, dir)
	}
	if !watch {
		return c.showStatus(ctx, dir, asJSON)
	}
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		if !asJSON {
			c.stdout.clear()
		}
		if err := c.showStatus(ctx, dir, asJSON); err != nil && ctx.Err() == nil {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// showStatus prints the state of all mounts, or of the one at dir.
func (c *call) showStatus(ctx context.Context, dir string, asJSON bool) error {
	list, err := c.askAll(ctx, dir)
	if err != nil {
		return err
	}
	left, err := c.leftBehind(dir, list)
	if err != nil {
		return err
	}
	if asJSON {
		dead := []string{}
		for _, m := range left.dead {
			dead = append(dead, m.dir)
		}
		err := c.stdout.json(map[string]any{"mounts": list, "idle": append([]idleCache{}, left.idle...), "dead": dead}, false)
		return orNotMounted(err, dir, list)
	}
	if dir == "" && len(list)+len(left.idle)+len(left.dead) == 0 {
		c.stdout.printf("no mounts\n")
	}
	for i := range list {
		if i > 0 {
			c.stdout.printf("\n")
		}
		writeStatus(c.stdout, &list[i])
	}
	if len(list) > 0 && len(left.idle)+len(left.dead) > 0 {
		c.stdout.printf("\n")
	}
	left.write(c.stdout)
	return orNotMounted(nil, dir, list)
}

// orNotMounted is err, or an error when a mount was asked for that does not live, whatever is left of it.
func orNotMounted(err error, dir string, list []mountStatus) error {
	if err != nil || dir == "" || len(list) > 0 {
		return err
	}
	return fail(exitMountPoint, fmt.Errorf("nothing of ours is mounted at %s", dir), "`ossencfs status` lists the mounts")
}

// checkStatus says nothing but by its exit code whether the buckets have everything, that of mounts which ended included.
func (c *call) checkStatus(ctx context.Context, dir string) error {
	list, err := c.askAll(ctx, dir)
	if err != nil {
		return err
	}
	left, err := c.leftBehind(dir, list)
	if err != nil {
		return err
	}
	switch {
	case len(left.dead) > 0:
		return fail(exitMountPoint, fmt.Errorf("the mount at %s is dead", left.dead[0].dir), "mount it again; what it had not uploaded is in its cache folder")
	case len(left.idle) > 0:
		return quiet(exitPending)
	}
	if err := orNotMounted(nil, dir, list); err != nil {
		return err
	}
	for i := range list {
		m := &list[i]
		switch {
		case m.Error != "":
			return fail(exitMountPoint, fmt.Errorf("the mount at %s does not answer: %s", m.Mountpoint, m.Error))
		case m.PendingFiles > 0 || m.UnderWay > 0:
			return quiet(exitPending)
		}
	}
	return nil
}

// askAll asks the sessions of this user, or those on one mount point. Records of sessions that are gone are removed on
// the way.
func (c *call) askAll(ctx context.Context, dir string) ([]mountStatus, error) {
	records, err := c.records()
	if err != nil {
		return nil, err
	}
	list := []mountStatus{}
	for _, r := range records {
		if dir != "" && r.Mountpoint != dir {
			continue
		}
		m, err := r.askStatus(ctx)
		switch {
		case errors.Is(err, errGone):
			continue
		case err != nil:
			m = mountStatus{record: *r, Error: err.Error()}
		}
		list = append(list, m)
	}
	return list, nil
}

// writeStatus shows one mount to people.
func writeStatus(w *printer, m *mountStatus) {
	state := "mounted"
	switch {
	case m.Error != "":
		state = "does not answer: " + m.Error
	case m.Uploading:
		state = "unmounted, uploading"
	case m.ReadOnly:
		state = "mounted read-only"
	}
	w.printf("%s on %s: %s (pid %d, up %s)\n", m.Source, m.Mountpoint, state, m.PID, time.Duration(m.Uptime)*time.Second)
	if m.Error != "" {
		return
	}
	if m.Away != "" {
		w.printf("  away        the records of the bucket were not read since the mount began: %s\n", m.Away)
	}
	m.uploadStatus.write(w)
	m.trustStatus.write(w)
	w.printf("  daemon      %s\n", m.Health.text(m.Daemon, m.Version))
	w.printf("  durability  close=%s fsync=%s\n", m.Close, m.Fsync)
	if m.LogFile != "" {
		w.printf("  log         %s\n", m.LogFile)
	}
}
