/* store/s3/s3.h: `s3://BUCKET/PREFIX`: objects in Amazon S3 and in what speaks its protocol, above
 * all Ceph's gateway. Credentials and endpoint come from the command line (struct store_access),
 * the environment and AWS's files, see s3_config.h. */
#pragma once

#include "store/store.h"

extern const struct store_driver s3_driver;
