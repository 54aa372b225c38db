"""cloud-init's Ec2 data source, told that it is on EC2.

It looks for that in the machine's DMI tables, which a system container shares with its host, takes the
platform as unknown, and then never asks for the token that IMDSv2 wants.
"""

from cloudinit import sources
from cloudinit.sources import DataSourceEc2 as ec2


# Of the name that scripts find in the status.
class DataSourceEc2Local(ec2.DataSourceEc2):
    dsname = "Ec2"

    @property
    def cloud_name(self):
        return ec2.CloudNames.AWS


def get_datasource_list(depends):
    wanted = [(DataSourceEc2Local, (sources.DEP_FILESYSTEM, sources.DEP_NETWORK))]
    return sources.list_from_depends(depends, wanted)
