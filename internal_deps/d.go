
package tools
import (
_ "github.com/hanwen/go-fuse/v2/fuse"
_ "github.com/hanwen/go-fuse/v2/posixtest"
_ "github.com/aliyun/aliyun-oss-go-sdk/oss"
_ "github.com/aliyun/aliyun-oss-go-sdk/oss/crypto"
_ "github.com/aliyun/alibaba-cloud-sdk-go/services/kms"
_ "github.com/aliyun/credentials-go/credentials"
_ "github.com/aliyun/alibabacloud-oss-go-sdk-v2/oss"
_ "github.com/cockroachdb/pebble/v2"
_ "pgregory.net/rapid"
_ "github.com/BurntSushi/toml"
_ "github.com/schollz/progressbar/v3"
_ "golang.org/x/crypto/hkdf"
_ "golang.org/x/sys/unix"
_ "golang.org/x/term"
_ "golang.org/x/sync/errgroup"
_ "golang.org/x/time/rate"
)
