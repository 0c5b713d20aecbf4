package cache

import "sync"

// kernelBox holds who is told about changes; nobody before a mount is there.
type kernelBox struct {
	mu sync.Mutex // guards the field below
	k  Kernel
}

func (b *kernelBox) get() Kernel {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.k == nil {
		return noKernel{}
	}
	return b.k
}

// present reports whether a kernel tells what it forgets.
func (b *kernelBox) present() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.k != nil
}

func (b *kernelBox) set(k Kernel) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.k = k
}

// SetKernel names who is told what the kernel should forget; nil ends it.
func (c *Cache) SetKernel(k Kernel) {
	c.kernel.set(k)
	if k != nil && c.heir() {
		c.meetKernel(k)
	}
}
